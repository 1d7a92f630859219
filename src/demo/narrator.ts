import type { Artifact, ShownFinding, Review, Task, TaskEvent } from './api.js';

/** Writes the demo's account to the terminal. */
export class Narrator {
  private readonly colours = process.stdout.isTTY === true;

  title(text: string): void {
    this.write(`\n${this.paint('1', text)}\n`);
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  detail(text: string): void {
    this.write(`      ${text}\n`);
  }

  stageStarted(role: string, iteration: number, saw: string): void {
    this.write(`\n  ${this.paint('36', role)}${iteration > 1 ? `, iteration ${iteration}` : ''}\n`);
    this.detail(`sees: ${saw}`);
  }

  stageFinished(event: TaskEvent): void {
    const { role, status, model, input_tokens, output_tokens, cost_usd, duration_ms, error_code } =
      event.data as Record<string, string | number | null>;
    this.write(
      `  ${this.paint(status === 'complete' ? '32' : '31', `${role} ${status}`)}${error_code ? ` (${error_code})` : ''}\n`,
    );
    this.detail(
      `cost: ${input_tokens} tokens in, ${output_tokens} out, ${cost_usd === null ? 'price unknown' : `$${cost_usd}`}, ${duration_ms} ms, ${model}`,
    );
  }

  finding(finding: ShownFinding): void {
    const by = finding.deterministic ? 'rule' : 'model';
    this.detail(
      `${this.paint('31', 'found')} by a ${by}: ${finding.finding_type} (${finding.severity}): ${finding.description}`,
    );
    this.detail(`evidence: ${finding.evidence}`);
  }

  review(review: Review): void {
    this.detail(`decided: ${this.paint(review.verdict === 'pass' ? '32' : '33', review.verdict)}: ${review.summary}`);
    for (const issue of review.issues) this.detail(`- ${issue.description}`);
  }

  result(
    task: Task,
    findings: readonly ShownFinding[],
    reviews: readonly Review[],
    artifacts: readonly Artifact[],
    diff: string,
  ): void {
    this.title(`The task is ${task.status}`);
    if (task.summary) this.line(`${task.summary.headline} (${task.summary.duration_s} s in stages)`);
    this.line(`${task.total_input_tokens} tokens in, ${task.total_output_tokens} out, $${task.total_cost_usd}`);
    for (const command of task.result?.commands_run ?? []) this.line(`ran in the sandbox: ${command}`);
    if (diff) {
      this.title('Diff');
      for (const text of diff.trimEnd().split('\n')) {
        this.line(text.startsWith('+') ? this.paint('32', text) : text.startsWith('-') ? this.paint('31', text) : text);
      }
    }
    this.title('Findings');
    for (const { iteration, finding_type, severity, status, resolved_by } of findings) {
      this.line(
        `iteration ${iteration}: ${finding_type} (${severity}), ${status}${resolved_by ? ` by ${resolved_by}` : ''}`,
      );
    }
    this.title('Reviews');
    for (const { iteration, verdict, summary } of reviews) this.line(`iteration ${iteration}: ${verdict}: ${summary}`);
    this.title('Artifacts');
    for (const { artifact_type, name, content_hash } of artifacts) {
      this.line(`${artifact_type} ${name} sha256:${content_hash.slice(0, 16)}`);
    }
    this.line('');
  }

  private paint(code: string, text: string): string {
    return this.colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  private write(text: string): void {
    process.stdout.write(text);
  }
}
