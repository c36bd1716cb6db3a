/**
 * Watches that a server sends at least the minimum rate.
 *
 * 1. All requests to one server count together: eight of them may share a slow line.
 * 2. Bytes are counted in windows, from the first request under way to the last.
 * 3. A window with too little ends every request under way; each says so.
 *
 * Not promised: that a single stalled request is seen; its idle time is.
 */
import { type Fault, transient } from './http-fault.ts'

export interface RateLimits {
  readonly rateBytesPerSecond: number
  readonly rateWindowMs: number
}

/** Ends one request under way. */
export type EndRequest = (fault: Fault) => void

export class RateWatch {
  readonly #limits: RateLimits
  readonly #underWay = new Set<EndRequest>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(limits: RateLimits) {
    this.#limits = limits
  }

  begin(end: EndRequest): void {
    this.#underWay.add(end)
    this.#timer ??= this.#open()
  }

  count(bytes: number): void {
    this.#bytes += bytes
  }

  end(end: EndRequest): void {
    this.#underWay.delete(end)
    if (this.#underWay.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Ends whatever is under way. */
  endAll(fault: Fault): void {
    for (const end of [...this.#underWay]) end(fault)
  }

  #open(): NodeJS.Timeout {
    this.#bytes = 0
    return setInterval(() => this.#close(), this.#limits.rateWindowMs)
  }

  #close(): void {
    const { rateBytesPerSecond, rateWindowMs } = this.#limits
    const seen = this.#bytes
    this.#bytes = 0
    const rate = Math.floor(seen / (rateWindowMs / 1_000))
    if (rate >= rateBytesPerSecond) return
    this.endAll(transient(`the server is too slow: ${rate} bytes a second`))
  }
}
