import { z } from 'zod';
import { DomainError } from '../../../platform/errors/index.js';
import {
  AgentTool,
  ancestorsBelow,
  PlatformTool,
  StartedWork,
  StartingTool,
  type ToolContext,
  type ToolResult,
} from '../../tools/index.js';
import { principalOfOwner } from '../../auth/index.js';
import { SubmitService } from './submit.service.js';
import { PipelineViews } from '../views/pipeline-views.service.js';

/** Characters of a task's output that its reader is shown. */
const MOST_OUTPUT = 20_000;

const newTask = z.strictObject({
  description: z.string().min(1).max(100_000).describe('What is to be done; the team sees nothing else of this talk'),
  pod_name: z.string().min(1).max(100).optional().describe('The team; the default one when left out'),
});

@AgentTool()
class CreateTaskTool extends StartingTool<typeof newTask> {
  readonly name = 'create_task';
  readonly description =
    'Puts a task into the pipeline, where a team works on it within your own rights. Returns its id at once.';
  readonly schema = newTask;

  constructor(
    started: StartedWork,
    private readonly submissions: SubmitService,
  ) {
    super(started);
  }

  protected async start(
    { description, pod_name: podName }: z.output<typeof newTask>,
    context: ToolContext,
    depth: number,
  ): Promise<ToolResult> {
    const { owner, tier, network, allowed = [], spending } = context;
    const costUsd = (await spending?.grantUsd()) ?? null;
    if (costUsd === 0) throw new DomainError('conflict', 'Nothing is left of the cost limit.');
    const submitted = await this.submissions.submit(principalOfOwner(owner), {
      userInput: description,
      ...(podName !== undefined && { podName }),
      metadata: {},
      maxRetries: 2,
      priority: 5,
      inherited: { depth, ancestors: ancestorsBelow(context), tier, network, allowed, costUsd },
    });
    return { text: JSON.stringify({ task_id: submitted.taskId, status: 'queued', pod_name: submitted.podName }) };
  }
}

const oneTask = z.strictObject({ task_id: z.uuid().describe('Id of the task') });

@AgentTool()
class GetTaskTool extends PlatformTool<typeof oneTask> {
  readonly name = 'get_task';
  readonly description = 'Shows a task of the pipeline: where it stands, and its output once it is complete.';
  readonly schema = oneTask;

  constructor(private readonly views: PipelineViews) {
    super();
  }

  protected async work(args: z.output<typeof oneTask>, { owner }: ToolContext): Promise<ToolResult> {
    const task = await this.views.get(principalOfOwner(owner), args.task_id.toLowerCase());
    const output = task.output === null ? null : JSON.stringify(task.output);
    return {
      text: JSON.stringify({
        task_id: task.id,
        status: task.status,
        pod_name: task.podName,
        error: task.error,
        waiting_for: task.waitingFor,
        output: output === null || output.length <= MOST_OUTPUT ? output : `${output.slice(0, MOST_OUTPUT)}…`,
      }),
    };
  }
}

/** The tools by which agents put work into the pipeline and look at it, as their owner. */
export const TASK_TOOLS = [CreateTaskTool, GetTaskTool];
