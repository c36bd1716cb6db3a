/**
 * The raw bytes of payloads between reading and packing, in shared memory.
 *
 * 1. Windows of a frame's size are read one after another into a ring of slots: window n into slot
 *    n mod count. What follows in the payload follows in memory, so a frame that crosses from one
 *    window to the next is still one run of bytes. At the end of the ring, its rest is copied
 *    behind the last slot.
 * 2. A window has users: the planner, while frames may still be cut from it, and each frame that
 *    is being packed. Its slot is free when the last one is through.
 * 3. Whoever takes a window waits for the one that had its slot before; so memory is bounded,
 *    and payloads are read from their files once.
 */
import { LIMITS } from '../../format/limits.ts'

/** Payloads are read in pieces of this size, counted from their start. */
export const WINDOW_BYTES = LIMITS.frameRawBytes

/** A run of bytes in the ring, and the windows it needs there. */
export interface RawPlace {
  /** Where it begins, in bytes from the start of the ring. */
  readonly at: number
  readonly firstWindow: number
  readonly lastWindow: number
}

export class RawRing {
  readonly #count: number
  /** Users of the window in each slot. */
  readonly #users: number[]
  readonly #waiting: (() => void)[][]
  #next = 0

  /** @param count slots, enough for the windows of the frames and scans that are under way */
  constructor(count: number) {
    this.#count = count
    this.#users = Array.from({ length: count }, () => 0)
    this.#waiting = Array.from({ length: count }, () => [])
  }

  /** The next window's number; `slotOf` may be written when `ready` is fulfilled. One user. */
  take(): { readonly window: number; readonly ready: Promise<void> } {
    const window = this.#next
    this.#next += 1
    const slot = this.slotOf(window)
    if (this.#users[slot] === 0) {
      this.#users[slot] = 1
      return { window, ready: Promise.resolve() }
    }
    const ready = new Promise<void>((resolve) => this.#waiting[slot]?.push(resolve))
    return { window, ready }
  }

  slotOf(window: number): number {
    return window % this.#count
  }

  /** The place of `length` bytes that begin `offset` bytes after the start of `window`. */
  place(window: number, offset: number, length: number): RawPlace {
    const firstWindow = window + Math.floor(offset / WINDOW_BYTES)
    const lastWindow = window + Math.floor((offset + length - 1) / WINDOW_BYTES)
    const at = this.slotOf(firstWindow) * WINDOW_BYTES + (offset % WINDOW_BYTES)
    return { at, firstWindow, lastWindow }
  }

  /** Another user of the windows of a place. */
  retain({ firstWindow, lastWindow }: Omit<RawPlace, 'at'>): void {
    for (let window = firstWindow; window <= lastWindow; window += 1) {
      const slot = this.slotOf(window)
      this.#users[slot] = (this.#users[slot] ?? 0) + 1
    }
  }

  /** One user less. @throws RangeError when a window has none */
  release({ firstWindow, lastWindow }: Omit<RawPlace, 'at'>): void {
    for (let window = firstWindow; window <= lastWindow; window += 1) {
      const slot = this.slotOf(window)
      const users = this.#users[slot] ?? 0
      if (users === 0) throw new RangeError(`window ${window} is free already`)
      this.#users[slot] = users - 1
      if (users > 1) continue
      const next = this.#waiting[slot]?.shift()
      if (next === undefined) continue
      this.#users[slot] = 1
      next()
    }
  }
}
