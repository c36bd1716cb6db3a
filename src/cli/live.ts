/**
 * Live lines on a terminal; the only file that knows listr2.
 *
 * 1. The first phase that begins opens a group: one listr2 task whose title is the text of all
 *    open phases, a line each. Phases that overlap join the group.
 * 2. When the last open phase of a group ends, the group ends and its lines stay.
 * 3. Results wait until no group is on the screen.
 *
 * Not promised: more than ten updates a second.
 */

import type { AmountEvent, PhaseEvent, ProgressEvent } from '../events.ts'
import { PhaseMeter } from './meter.ts'
import type { ClockMs, ProgressReader } from './progress.ts'

const REFRESH_MS = 100

/** Draws on the terminal behind `stderr`. */
export function liveProgress(stderr: NodeJS.WriteStream, nowMs: ClockMs): ProgressReader {
  let group: PhaseGroup | undefined
  let drawn: Promise<void> | undefined
  const held: (() => void)[] = []

  const endGroup = (ending: PhaseGroup): void => {
    group = undefined
    const mine = ending.end().then(() => {
      if (drawn !== mine || group !== undefined) return
      drawn = undefined
      for (const write of held.splice(0)) write()
    })
    drawn = mine
  }
  const whenClear = (write: () => void): void => {
    if (group === undefined && drawn === undefined) write()
    else held.push(write)
  }
  const emit = (event: ProgressEvent): void => {
    if (event.event === 'note' && group === undefined) {
      whenClear(() => stderr.write(`${event.text}\n`))
      return
    }
    group ??= new PhaseGroup(stderr, nowMs, drawn ?? Promise.resolve())
    if (group.take(event) === 'over') endGroup(group)
  }
  const close = async (): Promise<void> => {
    if (group !== undefined) endGroup(group)
    await drawn
  }
  return { emit, whenClear, close }
}

class PhaseGroup {
  readonly #nowMs: ClockMs
  readonly #open = new Map<string, PhaseMeter>()
  readonly #closedLines: string[] = []
  readonly #over = Promise.withResolvers<void>()
  readonly #shown: Promise<void>
  #failed = false
  #drawnMs = Number.NEGATIVE_INFINITY
  #draw: (text: string) => void = () => undefined

  constructor(stderr: NodeJS.WriteStream, nowMs: ClockMs, after: Promise<void>) {
    this.#nowMs = nowMs
    // The display may not have begun when the group fails.
    this.#over.promise.catch(() => undefined)
    this.#shown = after.then(() => this.#show(stderr))
  }

  take(event: ProgressEvent): 'open' | 'over' {
    if (event.event === 'note') this.#closedLines.push(event.text)
    else this.#takePhase(event)
    this.#redraw(event.event !== 'progress')
    return this.#open.size === 0 ? 'over' : 'open'
  }

  #takePhase(event: PhaseEvent | AmountEvent): void {
    const now = this.#nowMs()
    const meter = this.#open.get(event.phase) ?? new PhaseMeter(event.phase, now)
    this.#open.set(event.phase, meter)
    if (event.event === 'progress') meter.note(event, now)
    else if (event.state === 'end') this.#endPhase(event, meter)
  }

  /** Ends the display; resolves when the terminal is free. */
  end(): Promise<void> {
    if (this.#open.size > 0) this.#failed = true
    if (this.#failed) this.#over.reject(new Error(this.#text()))
    else this.#over.resolve()
    return this.#shown
  }

  #endPhase(event: PhaseEvent, meter: PhaseMeter): void {
    const seconds = event.seconds ?? meter.elapsedSeconds(this.#nowMs())
    this.#closedLines.push(meter.summary(seconds, event.failed === true))
    this.#open.delete(event.phase)
    if (event.failed === true) this.#failed = true
  }

  #text(): string {
    const now = this.#nowMs()
    const open = [...this.#open.values()].map((meter) => meter.describe(now))
    return [...this.#closedLines, ...open].join('\n')
  }

  #redraw(always: boolean): void {
    const now = this.#nowMs()
    if (!always && now - this.#drawnMs < REFRESH_MS) return
    this.#drawnMs = now
    this.#draw(this.#text())
  }

  async #show(stderr: NodeJS.WriteStream): Promise<void> {
    // Loaded with the first phase: most runs draw nothing, and it is large.
    const { DefaultRenderer, Listr, ListrLogger, ProcessOutput } = await import('listr2')
    const logger = new ListrLogger({
      useIcons: true,
      toStderr: [],
      processOutput: new ProcessOutput(stderr, stderr, { leaveEmptyLine: false }),
    })
    const task = {
      title: this.#text(),
      task: async (_: unknown, shown: { title?: string | undefined }) => {
        this.#draw = (text) => {
          shown.title = text
        }
        await this.#over.promise
      },
    }
    const list = new Listr([task], {
      // It asks whether standard output is a terminal; we draw on standard error.
      renderer: class extends DefaultRenderer {
        static override nonTTY = true
      },
      rendererOptions: { logger, showErrorMessage: false, formatOutput: 'truncate' },
      // The program's own signal decides, see signals.ts.
      registerSignalListeners: false,
    })
    // A failed phase is drawn as such; its error comes from the stage.
    await list.run().catch(() => undefined)
  }
}
