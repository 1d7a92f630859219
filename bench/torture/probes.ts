import type pg from 'pg';

/**
 * What the judge sees of each write, in tables without any constraint, written by triggers: ends of stages and of tasks, by
 * whose connection, every change of who may write to a task, and which worker's beat renewed which lease. The service's own index that would hide a
 * second result is dropped.
 */
const PROBES = `
  drop index stages_task_id_role_iteration_attempt_idx;

  create table torture_sessions (session text, worker integer);
  create function torture_note_session() returns trigger language plpgsql as $$ begin
    insert into torture_sessions values (current_setting('application_name'), new.id); return null; end $$;
  create trigger torture_note_session after insert on workers for each row execute function torture_note_session();

  create table torture_effects (
    task_id uuid, what text, session text not null default current_setting('application_name'), holder integer,
    at timestamptz not null default clock_timestamp());
  create function torture_note_stage() returns trigger language plpgsql as $$ begin
    insert into torture_effects (task_id, what, holder) values (
      new.task_id, new.role || ' ' || new.iteration, (select lease_owner from tasks where id = new.task_id));
    return null; end $$;
  create function torture_note_result() returns trigger language plpgsql as $$ begin
    insert into torture_effects (task_id, what) values (new.task_id, 'result'); return null; end $$;
  create trigger torture_note after insert or update on stages for each row when (new.status = 'complete')
    execute function torture_note_stage();
  create trigger torture_note after insert or update on task_results for each row execute function torture_note_result();

  create table torture_leases (
    task_id uuid, epoch_before bigint, epoch bigint, owner_before integer, owner integer, until_before timestamptz,
    status text, seq_before bigint, seq bigint, at timestamptz);
  create function torture_note_lease() returns trigger language plpgsql as $$ begin
    insert into torture_leases values (
      new.id, old.epoch, new.epoch, old.lease_owner, new.lease_owner, old.lease_until, new.status, old.event_seq,
      new.event_seq, clock_timestamp());
    return null; end $$;
  create trigger torture_note_lease after update on tasks for each row
    when (old.epoch <> new.epoch or old.lease_owner is distinct from new.lease_owner)
    execute function torture_note_lease();

  create table torture_beats (worker integer, statement xid8);
  create function torture_note_beat() returns trigger language plpgsql as $$ begin
    insert into torture_beats values (new.id, pg_current_xact_id()); return null; end $$;
  create trigger torture_note_beat after update on workers for each row execute function torture_note_beat();
  create table torture_renewals (task_id uuid, owner integer, statement xid8);
  create function torture_note_renewal() returns trigger language plpgsql as $$ begin
    insert into torture_renewals values (new.id, new.lease_owner, pg_current_xact_id()); return null; end $$;
  create trigger torture_note_renewal after update on tasks for each row
    when (old.epoch = new.epoch and old.last_heartbeat_at is distinct from new.last_heartbeat_at)
    execute function torture_note_renewal();

  create table torture_turn_ends (turn_id uuid, status text, at timestamptz not null default clock_timestamp());
  create function torture_note_turn() returns trigger language plpgsql as $$ begin
    insert into torture_turn_ends values (new.id, new.status); return null; end $$;
  create trigger torture_note_turn after update on turns for each row
    when (new.status <> 'running' and (old.status <> new.status or old.completed_at is distinct from new.completed_at))
    execute function torture_note_turn();`;

/** Sets the probes; the schema must be there, and no task yet. */
export async function setProbes(pool: pg.Pool): Promise<void> {
  await pool.query(PROBES);
}
