/**
 * The states of a replacement, and what one record of the journal holds (docs/apply.md, "States").
 *
 * 1. The order of the list is the order of a run; `held` and `aborted` stand beside it.
 * 2. `NEXT` says which state may follow which: the journal refuses every other step. A state may
 *    always be entered again.
 * 3. Before `committed` every failure ends in the first OS; from then on in the rescue.
 *
 * Pure. Writing it down so that a power cut leaves the old or the new record is journal.ts.
 */
import * as z from 'zod/mini'

const stateSchema = z.enum([
  'preflight',
  'staging',
  'staged',
  'armed',
  'rehearsal',
  'committed',
  'wiped',
  'flashing',
  'body-complete',
  'retargeted',
  'trial',
  'confirmed',
  'held',
  'aborted',
])
export type State = z.infer<typeof stateSchema>

/** Which states may follow; the same state may too. */
export const NEXT: Readonly<Record<State, readonly State[]>> = {
  preflight: ['staging'],
  staging: ['staged', 'aborted'],
  // The rescue may come up before the first OS wrote that it was armed.
  staged: ['armed', 'rehearsal', 'staging', 'aborted'],
  armed: ['rehearsal', 'staged', 'aborted'],
  rehearsal: ['committed', 'aborted', 'held'],
  // Back, as long as nothing was wiped.
  committed: ['wiped', 'held', 'aborted'],
  wiped: ['flashing', 'held'],
  flashing: ['body-complete', 'wiped', 'held'],
  'body-complete': ['retargeted', 'flashing', 'wiped', 'held'],
  retargeted: ['trial', 'flashing', 'wiped', 'held'],
  trial: ['confirmed', 'held'],
  // A second try begins where the disk is still the guard's.
  held: ['committed', 'confirmed', 'aborted'],
  confirmed: [],
  // Behind a guard that was put there, the rescue stays.
  aborted: ['staging', 'held'],
}

/** The guard is the rescue's: it may stand before the journal says so, and after `aborted`. */
export const NEVER_GUARDED: readonly State[] = ['preflight', 'staging', 'staged', 'armed']

/** Which of the three systems wrote a record. */
const systemSchema = z.enum(['first-os', 'rescue', 'target'])
export type SystemName = z.infer<typeof systemSchema>

const count = z.int().check(z.minimum(0), z.maximum(Number.MAX_SAFE_INTEGER))
const text = z.string().check(z.maxLength(1_024))

/** One record; as JSON it must fit a journal slot. */
export const journalRecordSchema = z.strictObject({
  format: z.literal('osflash-journal/1'),
  sequence: count,
  state: stateSchema,
  system: systemSchema,
  /** When the state was entered; the host's clock, believed by nobody. */
  since: z.iso.datetime(),
  /** /proc/sys/kernel/random/boot_id of the system that wrote the record. */
  bootId: text,
  /** SHA-256 of plan.json, lower-case hex. */
  planDigest: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Raised before the attempt. */
  attempts: z.strictObject({
    flash: count,
    trial: count,
    /** How often the rescue came up again behind the guard. */
    returns: z.optional(count),
  }),
  /** Why the run is where it is; kept until a state after it succeeds. */
  error: z.optional(text),
})
export type JournalRecord = z.infer<typeof journalRecordSchema>
