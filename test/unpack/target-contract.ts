/** What every `Target` must do, the real ones and the fake of the tests. */
import { expect, it } from 'vitest'
import { makeSlots, slotView } from '../../src/system/shared-buffers.ts'
import { MIB } from '../../src/units.ts'
import type { Target } from '../../src/unpack/target.ts'
import { pattern } from '../vectors/cases.ts'

/** Registers the tests; `open` gives a target of 32 MiB, full of old bytes unless it is blank. */
export function targetContract(open: () => Promise<Target>): void {
  const read = async (target: Target, offset: number, length: number): Promise<Buffer> => {
    const into = Buffer.alloc(length, 0x77)
    await target.read(offset, into)
    return into
  }

  it('has the size that it was opened with', async () => {
    await using target = await open()
    expect(target.bytes).toBe(32 * MIB)
  })

  it('reads what was written, aligned or not, also at its end', async () => {
    await using target = await open()
    const places = [
      [0, 512],
      [4_096, 4_096],
      [MIB, 4 * MIB],
      [8 * MIB + 512, 777],
      [9 * MIB + 1, 8_192],
      [32 * MIB - 1_000, 1_000],
    ] as const
    for (const [n, [offset, length]] of places.entries()) {
      await target.write(offset, pattern(length, n))
    }
    await target.sync()
    for (const [n, [offset, length]] of places.entries()) {
      expect((await read(target, offset, length)).equals(pattern(length, n))).toBe(true)
    }
  })

  it('takes page-aligned memory as well, and gives it back', async () => {
    await using target = await open()
    const memory = slotView(makeSlots(1, 4 * MIB), 0)
    memory.set(pattern(4 * MIB, 9))
    await target.write(4 * MIB, memory)
    await target.sync()
    memory.fill(0)
    await target.read(4 * MIB, memory)
    expect(Buffer.from(memory).equals(pattern(4 * MIB, 9))).toBe(true)
  })

  it('makes zeros, and nothing beside them', async () => {
    await using target = await open()
    for (const [offset, length] of [
      [5_000, 3_000],
      [2 * MIB, 16 * MIB],
      [20 * MIB + 512, 9 * MIB],
    ] as const) {
      await target.write(offset - 100, Buffer.alloc(100, 1))
      await target.write(offset + length, Buffer.alloc(100, 2))
      await target.write(offset, Buffer.alloc(length, 3))
      await target.zero(offset, length)
      await target.sync()
      expect((await read(target, offset, length)).equals(Buffer.alloc(length))).toBe(true)
      expect(await read(target, offset - 100, 100)).toEqual(Buffer.alloc(100, 1))
      expect(await read(target, offset + length, 100)).toEqual(Buffer.alloc(100, 2))
    }
  })

  it('is blank only if it reads as zeros', async () => {
    await using target = await open()
    const zeros = (await read(target, 10 * MIB, MIB)).equals(Buffer.alloc(MIB))
    expect(target.blank ? zeros : true).toBe(true)
  })

  it('refuses to read past its end', async () => {
    await using target = await open()
    await expect(target.read(32 * MIB - 10, Buffer.alloc(20))).rejects.toMatchObject({ code: 'io' })
  })
}
