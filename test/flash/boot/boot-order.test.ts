import { expect, test } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import {
  checkBootVariables,
  ensureEntry,
  entryText,
  findEntry,
  readNext,
  readOrder,
  writeNext,
  writeOrder,
} from '../../../src/flash/boot/boot-order.ts'
import { encodeLoadOption } from '../../../src/flash/boot/efi-load-option.ts'
import type { EfiVariables } from '../../../src/flash/boot/efi-variables.ts'

const file = {
  esp: { number: 1, firstLba: 2048, sectors: 4096, guid: '11111111-0000-4000-8000-000000000001' },
  path: '\\EFI\\BOOT\\BOOTX64.EFI',
}

interface Firmware extends EfiVariables {
  readonly held: Map<string, Uint8Array>
}

/** A firmware in memory; `keep` may change what is written, or throw. */
function firmware(keep: (name: string, data: Uint8Array) => Uint8Array = (_, data) => data) {
  const held = new Map<string, Uint8Array>()
  const variables: Firmware = {
    held,
    list: async () => [...held.keys()],
    read: async (name) => held.get(name),
    write: async (name, data) => {
      held.set(name, keep(name, data))
    },
    remove: async (name) => {
      held.delete(name)
    },
  }
  return variables
}

test('numbers are written as the firmware has them, and read again', async () => {
  const variables = firmware()
  expect(await readOrder(variables)).toEqual([])
  expect(await readNext(variables)).toBeUndefined()
  await writeOrder(variables, [0x0102, 0, 0xffff])
  await writeNext(variables, 0x0a)
  expect([...(variables.held.get('BootOrder') ?? [])]).toEqual([2, 1, 0, 0, 0xff, 0xff])
  expect(await readOrder(variables)).toEqual([0x0102, 0, 0xffff])
  expect(await readNext(variables)).toBe(0x0a)
  await writeNext(variables, undefined)
  expect(variables.held.has('BootNext')).toBe(false)
  expect([0, 0x2a, 0xffff].map(entryText)).toEqual(['0000', '002A', 'FFFF'])
})

test('a new entry takes a number that nothing names, and is found again', async () => {
  const variables = firmware()
  for (const name of ['Boot0000', 'Boot0002', 'BootCurrent', 'Boot00zz', 'Boot00001']) {
    variables.held.set(name, new Uint8Array(3))
  }
  await writeOrder(variables, [3, 0])
  await writeNext(variables, 4)
  expect(await findEntry(variables, file)).toBeUndefined()
  expect(await ensureEntry(variables, file, 'one')).toBe(1)
  const other = { ...file, path: '\\EFI\\OTHER.EFI' }
  expect(await ensureEntry(variables, other, 'two')).toBe(5)
  expect(await ensureEntry(variables, file, 'one')).toBe(1)
  expect(await findEntry(variables, other)).toBe(5)
})

test('an entry whose partition lies elsewhere by now is written anew, same number', async () => {
  const variables = firmware()
  const { esp } = file
  const older = [
    { ...esp, number: 2 },
    { ...esp, firstLba: 4096 },
    { ...esp, sectors: 4097 },
  ]
  for (const [i, place] of older.entries()) {
    variables.held.set('Boot0007', encodeLoadOption(`older ${i}`, { ...file, esp: place }))
    expect(await ensureEntry(variables, file, 'one')).toBe(7)
    expect(variables.held.get('Boot0007')).toEqual(encodeLoadOption('one', file))
  }
  // Another name, or a controller before the partition, is the firmware's affair.
  const named = encodeLoadOption('of the firmware', file)
  variables.held.set('Boot0007', named)
  expect(await ensureEntry(variables, file, 'one')).toBe(7)
  expect(variables.held.get('Boot0007')).toEqual(named)
})

test('an order of an odd number of bytes loses the last one only', async () => {
  const variables = firmware()
  variables.held.set('BootOrder', Uint8Array.from([1, 0, 2]))
  expect(await readOrder(variables)).toEqual([1])
})

test('without a free number, or without room: refused, and left as it was', async () => {
  const full = firmware()
  await writeOrder(
    full,
    Array.from({ length: 0x10000 }, (_, i) => i),
  )
  await expect(ensureEntry(full, file, 'one')).rejects.toThrow('the firmware has no free number')
  const noRoom = firmware((name) => {
    throw new OsflashError('io', `changing ${name}: no space left`)
  })
  await expect(checkBootVariables(noRoom)).rejects.toThrow('changing Boot0000: no space left')
  expect(noRoom.held.size).toBe(0)
})

test('the entry of the check is never active', async () => {
  const written: Uint8Array[] = []
  const variables = firmware((_, data) => {
    written.push(data)
    return data
  })
  await checkBootVariables(variables)
  expect(written.map((data) => data[0])).toEqual([0])
  expect(variables.held.size).toBe(0)
})
