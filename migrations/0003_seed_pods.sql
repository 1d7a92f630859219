-- Why: the five pods every installation starts with. Seeds are inserted once, here, and never overwrite an edit.
-- Locks: none. Reversible: delete the pods with the ids below.

insert into pods (id, name, description, require_human_review, escalation_threshold, is_system_default, routing_keywords)
values ('00000000-0000-7000-8000-000000000001', 'Quartet', 'The full review: context, task, guardrail, code review and decision.', 'on_escalation', 'medium', true, '{implement,fix,refactor,review}');
insert into pod_agents
  (id, pod_id, name, role, position, parallel_group, temperature, max_tokens, timeout_seconds, max_retries, on_failure, allowed_tools, run_condition)
values
  ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'Context Agent', 'context', 1, null, 0.2, 4096, 60, 0, 'abort', '{list_dir,read_file,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'Task Agent', 'task', 2, null, 0.5, 8192, 300, 0, 'abort', '{list_dir,read_file,write_file,edit_file,run_shell,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'Guardrail Agent', 'guardrail', 3, 'review', 0.1, 2048, 60, 3, 'escalate', '{}', null),
  ('00000000-0000-7000-8000-000000000014', '00000000-0000-7000-8000-000000000001', 'Code Review Agent', 'code_review', 4, 'review', 0.3, 4096, 120, 3, 'escalate', '{}', null),
  ('00000000-0000-7000-8000-000000000015', '00000000-0000-7000-8000-000000000001', 'Decision Agent', 'decision', 5, null, 0.2, 4096, 60, 0, 'escalate', '{}', '{"type":"or","conditions":[{"type":"on_flag","flag":"guardrail_blocked"},{"type":"on_flag","flag":"code_review_rejected"}]}');

insert into pods (id, name, description, require_human_review, escalation_threshold, is_system_default, routing_keywords)
values ('00000000-0000-7000-8000-000000000002', 'Quick Reply', 'One answer, without tools and without review.', 'never', 'critical', false, '{question,explain,summarise}');
insert into pod_agents
  (id, pod_id, name, role, position, parallel_group, temperature, max_tokens, timeout_seconds, max_retries, on_failure, allowed_tools, run_condition)
values
  ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000002', 'Task Agent', 'task', 1, null, 0.5, 8192, 300, 0, 'abort', '{}', null);

insert into pods (id, name, description, require_human_review, escalation_threshold, is_system_default, routing_keywords)
values ('00000000-0000-7000-8000-000000000003', 'Research', 'Reads the workspace and reports.', 'on_escalation', 'medium', false, '{research,investigate,compare}');
insert into pod_agents
  (id, pod_id, name, role, position, parallel_group, temperature, max_tokens, timeout_seconds, max_retries, on_failure, allowed_tools, run_condition)
values
  ('00000000-0000-7000-8000-000000000031', '00000000-0000-7000-8000-000000000003', 'Context Agent', 'context', 1, null, 0.2, 4096, 60, 0, 'abort', '{list_dir,read_file,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000032', '00000000-0000-7000-8000-000000000003', 'Task Agent', 'task', 2, null, 0.5, 8192, 300, 0, 'abort', '{list_dir,read_file,search_codebase}', null);

insert into pods (id, name, description, require_human_review, escalation_threshold, is_system_default, routing_keywords)
values ('00000000-0000-7000-8000-000000000004', 'Code Generation', 'Writes code with tools, reviewed like the Quartet.', 'on_escalation', 'medium', false, '{code,build,write}');
insert into pod_agents
  (id, pod_id, name, role, position, parallel_group, temperature, max_tokens, timeout_seconds, max_retries, on_failure, allowed_tools, run_condition)
values
  ('00000000-0000-7000-8000-000000000041', '00000000-0000-7000-8000-000000000004', 'Context Agent', 'context', 1, null, 0.2, 4096, 60, 0, 'abort', '{list_dir,read_file,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000042', '00000000-0000-7000-8000-000000000004', 'Task Agent', 'task', 2, null, 0.5, 8192, 300, 0, 'abort', '{list_dir,read_file,write_file,edit_file,run_shell,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000043', '00000000-0000-7000-8000-000000000004', 'Guardrail Agent', 'guardrail', 3, 'review', 0.1, 2048, 60, 3, 'escalate', '{}', null),
  ('00000000-0000-7000-8000-000000000044', '00000000-0000-7000-8000-000000000004', 'Code Review Agent', 'code_review', 4, 'review', 0.3, 4096, 120, 3, 'escalate', '{}', null),
  ('00000000-0000-7000-8000-000000000045', '00000000-0000-7000-8000-000000000004', 'Decision Agent', 'decision', 5, null, 0.2, 4096, 60, 0, 'escalate', '{}', '{"type":"or","conditions":[{"type":"on_flag","flag":"guardrail_blocked"},{"type":"on_flag","flag":"code_review_rejected"}]}');

insert into pods (id, name, description, require_human_review, escalation_threshold, is_system_default, routing_keywords)
values ('00000000-0000-7000-8000-000000000005', 'Analysis', 'Reads code and explains it.', 'on_escalation', 'medium', false, '{analyse,analyze,audit}');
insert into pod_agents
  (id, pod_id, name, role, position, parallel_group, temperature, max_tokens, timeout_seconds, max_retries, on_failure, allowed_tools, run_condition)
values
  ('00000000-0000-7000-8000-000000000051', '00000000-0000-7000-8000-000000000005', 'Context Agent', 'context', 1, null, 0.2, 4096, 60, 0, 'abort', '{list_dir,read_file,search_codebase}', null),
  ('00000000-0000-7000-8000-000000000052', '00000000-0000-7000-8000-000000000005', 'Task Agent', 'task', 2, null, 0.5, 8192, 300, 0, 'abort', '{list_dir,read_file,search_codebase}', null);
