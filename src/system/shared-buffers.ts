/**
 * Page-aligned buffers that all threads see, and a queue for their turns.
 *
 * 1. The memory of a shared `WebAssembly.Memory` starts at a page, so views at multiples of
 *    4,096 bytes may be used with `O_DIRECT`.
 * 2. All slots of a kind have one size; slot i is the i-th run of bytes after the base.
 * 3. `SlotQueue` hands out slot numbers; whoever asks waits until one is free. So the memory of
 *    a run is bounded by the number of slots, whatever the size of the image.
 */
import { alignUp } from '../units.ts'

/** What direct input and output wants: a multiple of every logical sector size. */
const PAGE_BYTES = 4_096
const WASM_PAGE_BYTES = 64 * 1024

/** A memory of at least `bytes`, shared between threads. */
function sharedMemory(bytes: number): SharedArrayBuffer {
  const pages = Math.max(1, Math.ceil(bytes / WASM_PAGE_BYTES))
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  return memory.buffer
}

/** The one part of the WebAssembly API used here; the language's own library lacks it. */
declare const WebAssembly: {
  readonly Memory: new (descriptor: {
    readonly initial: number
    readonly maximum: number
    readonly shared: true
  }) => { readonly buffer: SharedArrayBuffer }
}

/** Equal slots in one shared memory. A plain object, so that workers can be given it. */
export interface Slots {
  readonly memory: SharedArrayBuffer
  readonly base: number
  readonly slotBytes: number
  readonly count: number
}

/** Memory for `count` slots of at least `slotBytes`, page-aligned. */
export function makeSlots(count: number, slotBytes: number): Slots {
  const size = alignUp(slotBytes, PAGE_BYTES)
  return { memory: sharedMemory(count * size), base: 0, slotBytes: size, count }
}

/** The bytes of slot `slot`, from its start; `length` defaults to the whole slot. */
export function slotView(slots: Slots, slot: number, length = slots.slotBytes): Uint8Array {
  if (slot < 0 || slot >= slots.count || length > slots.slotBytes) {
    throw new RangeError(`no slot ${slot} with ${length} bytes`)
  }
  return new Uint8Array(slots.memory, slots.base + slot * slots.slotBytes, length)
}

/** Hands out the numbers 0 to count - 1, each to one holder at a time. */
export class SlotQueue {
  readonly #free: number[]
  readonly #waiting: ((slot: number) => void)[] = []

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, i) => i)
  }

  acquire(): Promise<number> {
    const slot = this.#free.pop()
    if (slot !== undefined) return Promise.resolve(slot)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(slot: number): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#free.push(slot)
    else waiting(slot)
  }
}
