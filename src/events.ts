/**
 * What a running stage tells: typed, serialisable events.
 *
 * 1. A stage gets `emit` and calls it; it never prints.
 * 2. Readers decide what becomes of an event: a live line on a terminal, plain lines in a log,
 *    one line of JSON each for a machine, a record in the journal.
 * 3. Phases may overlap (writing and reading back); a phase is known by its name.
 *
 * Not promised: that every event is shown. Readers drop `progress` events that come too fast,
 * so a stage may emit one per frame.
 */

/** What `done` and `total` of a progress event count. */
export type ProgressUnit = 'bytes' | 'items'

/** `seconds` is the duration of the phase, given with `end`; `failed` when it threw. */
export interface PhaseEvent {
  readonly event: 'phase'
  readonly phase: string
  readonly state: 'start' | 'end'
  readonly seconds?: number
  readonly failed?: true
}

/** `done` of `total`, 0 <= done <= total; a total of 0 means that it is not known. */
export interface AmountEvent {
  readonly event: 'progress'
  readonly phase: string
  readonly done: number
  readonly total: number
  readonly unit: ProgressUnit
}

/** A sentence for the operator, lower case and without a full stop. */
export interface NoteEvent {
  readonly event: 'note'
  readonly text: string
}

export type ProgressEvent = PhaseEvent | AmountEvent | NoteEvent

/** Given to every stage; must not throw and may be called at any rate. */
export type Emit = (event: ProgressEvent) => void

/** Runs one phase: emits its start, and its end with the seconds it took, also on failure. */
export async function inPhase<Result>(
  emit: Emit,
  phase: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const startMs = performance.now()
  const seconds = () => (performance.now() - startMs) / 1000
  emit({ event: 'phase', phase, state: 'start' })
  try {
    const result = await work()
    emit({ event: 'phase', phase, state: 'end', seconds: seconds() })
    return result
  } catch (error) {
    emit({ event: 'phase', phase, state: 'end', seconds: seconds(), failed: true })
    throw error
  }
}
