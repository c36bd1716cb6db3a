/** Firmware with ways of its own: it reorders, it adds entries, it holds old ones. */
import { expect, test } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { entryText, orderOf } from '../../../src/flash/boot/boot-order.ts'
import { encodeLoadOption } from '../../../src/flash/boot/efi-load-option.ts'
import { readEsp, uefiFirstOsBoot, uefiRescueBoot } from '../../../src/flash/boot/uefi.ts'
import { type Change, FIRMWARE, LOADER, uefiHost } from './uefi-host.ts'

const numbers = (...entries: readonly number[]): Buffer =>
  Buffer.from(new Uint8Array(new Uint16Array(entries).buffer))

/** A firmware that puts a new entry first in the order by itself. */
const putsNewFirst: Change = (variables) => ({
  ...variables,
  write: async (name, data) => {
    const isNew = /^Boot[0-9A-F]{4}$/.test(name) && (await variables.read(name)) === undefined
    await variables.write(name, data)
    if (!isNew) return
    const order = (await variables.read('BootOrder')) ?? new Uint8Array()
    const entry = numbers(Number.parseInt(name.slice(4), 16))
    await variables.write('BootOrder', Buffer.concat([entry, order]))
  },
})

/** A firmware that keeps this entry first, as long as there is one. */
const keepsFirst =
  (entry: number): Change =>
  (variables) => ({
    ...putsNewFirst(variables),
    write: async (name, data) => {
      if (name !== 'BootOrder') return putsNewFirst(variables).write(name, data)
      const held = await variables.read(`Boot${entryText(entry)}`)
      if (held === undefined) return variables.write(name, data)
      const others = orderOf(data).filter((other) => other !== entry)
      await variables.write(name, numbers(entry, ...others))
      if (orderOf(data)[0] !== entry) throw new OsflashError('readback', `reading back ${name}`)
    },
  })

test('a firmware that puts new entries first: the rescue is last again, and undone', async () => {
  const one = await uefiHost(FIRMWARE, putsNewFirst)
  const before = await one.snapshot()
  const backup = await one.first.backup()
  await one.first.arm()
  expect(await one.first.isArmed()).toBe(true)
  expect(await one.read('BootOrder')).toBe('07000000' + '0100' + '0000' + '0200')
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test('a firmware that makes an order of the rescue alone: there is none again', async () => {
  const one = await uefiHost({ Timeout: '0300' }, putsNewFirst)
  const before = await one.snapshot()
  const backup = await one.first.backup()
  // The order was none: what the firmware makes of it is the rescue alone.
  await one.first.arm()
  expect(await one.first.isArmed()).toBe(true)
  await expect(one.read('BootOrder')).rejects.toMatchObject({ code: 'ENOENT' })
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test('a firmware that keeps the rescue first is not armed, and nothing stays', async () => {
  const one = await uefiHost(FIRMWARE, keepsFirst(2))
  const before = await one.snapshot()
  const backup = await one.first.backup()
  await expect(one.first.arm()).rejects.toMatchObject({
    code: 'refused',
    message: 'arming the rescue: the firmware puts it first in BootOrder',
  })
  expect(await one.snapshot()).toEqual(before)
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test('a firmware that keeps it first later: released and disarmed by taking it out', async () => {
  const one = await uefiHost()
  const before = await one.snapshot()
  const backup = await one.first.backup()
  const armedBy = async (change: Change) => {
    await one.first.arm()
    await one.variables.write('BootOrder', numbers(2, 1, 0))
    return { ...one.places, variables: change(one.variables) }
  }
  const released = uefiRescueBoot(await armedBy(keepsFirst(2)))
  expect(await released.hasGuard()).toBe(true)
  await released.release()
  expect(await released.hasGuard()).toBe(false)
  expect(await one.snapshot()).toEqual(before)
  await uefiFirstOsBoot(await armedBy(keepsFirst(2))).disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test("a firmware's own entries of the stage are the stage's as well", async () => {
  const one = await uefiHost()
  const backup = await one.first.backup()
  await one.first.arm()
  await one.boot.guard()
  const added = encodeLoadOption('UEFI OS', { esp: await readEsp(one.stage), path: LOADER })
  const { Boot0000, Boot0001 } = FIRMWARE
  await one.variables.write('Boot0003', Buffer.from(Boot0000, 'hex'))
  await one.variables.write('Boot0000', added)
  await one.variables.write('BootOrder', numbers(2, 0, 1, 3))
  expect(await one.boot.hasGuard()).toBe(true)
  await one.variables.write('BootNext', numbers(2))
  expect(await one.first.isArmed()).toBe(true)
  await one.boot.release()
  expect(orderOf(await one.variables.read('BootOrder'))).toEqual([1, 3, 2, 0])
  expect(await one.variables.read('BootNext')).toBeUndefined()
  await one.first.disarm(backup)
  expect(orderOf(await one.variables.read('BootOrder'))).toEqual([1, 3])
  const left = await one.variables.list()
  expect(left.filter((name) => /^Boot\d+$/.test(name)).sort()).toEqual(['Boot0001', 'Boot0003'])
  expect(await one.read('Boot0001')).toBe(`07000000${Boot0001}`)
})

test('an entry of an older image of the stage is made true, and given back', async () => {
  const one = await uefiHost()
  const esp = { ...(await readEsp(one.stage)), firstLba: 2048 }
  await one.variables.write('Boot0005', encodeLoadOption('old', { esp, path: LOADER }))
  const before = await one.snapshot()
  const backup = JSON.parse(JSON.stringify(await one.first.backup()))
  await one.first.arm()
  const wanted = encodeLoadOption('osflash rescue', {
    esp: { ...esp, firstLba: 4096 },
    path: LOADER,
  })
  expect(await one.variables.read('Boot0005')).toEqual(wanted)
  expect(await one.read('BootNext')).toBe('07000000' + '0500')
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
  // As an earlier version wrote it.
  await one.first.arm()
  const { option: _, ...older } = backup
  await one.first.disarm(older)
  expect(await one.variables.read('Boot0005')).toEqual(wanted)
})
