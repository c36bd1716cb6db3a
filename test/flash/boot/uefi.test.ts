import { readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { optionPattern } from '../../../src/flash/boot/efi-load-option.ts'
import { efiVariables } from '../../../src/flash/boot/efi-variables.ts'
import { readEsp, removeRescueEntry, uefiRescueBoot } from '../../../src/flash/boot/uefi.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { fakeTarget } from '../../unpack/fake-target.ts'
import { FIRMWARE, GLOBAL, gptHead, LOADER, STAGE, TARGET, uefiHost } from './uefi-host.ts'

test('armed: an entry, last in the order, and BootNext; undone: byte-identical', async () => {
  const one = await uefiHost()
  const before = await one.snapshot()
  const backup = JSON.parse(JSON.stringify(await one.first.backup()))
  await one.first.disarm(backup)
  expect(await one.first.isArmed()).toBe(false)
  expect(await one.snapshot()).toEqual(before)
  await one.first.arm()
  expect(await one.first.isArmed()).toBe(true)
  expect(await one.read('BootNext')).toBe('07000000' + '0200')
  expect(await one.read('BootOrder')).toBe('07000000' + '0100' + '0000' + '0200')
  await one.first.arm()
  expect((await one.snapshot()).length).toBe(before.length + 2)
  // The stage may be something else by now.
  await writeFile(one.stage, new Uint8Array(MIB))
  await one.first.disarm(backup)
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test('what the firmware did since is kept: BootNext used up, entries added', async () => {
  const one = await uefiHost()
  const backup = await one.first.backup()
  await one.first.arm()
  await unlink(join(one.folder, `BootNext-${GLOBAL}`))
  expect(await one.first.isArmed()).toBe(false)
  await writeFile(
    join(one.folder, `BootOrder-${GLOBAL}`),
    Buffer.from('0700000005000100000002' + '00', 'hex'),
  )
  await one.first.disarm(backup)
  expect(await one.read('BootOrder')).toBe('07000000' + '0500' + '0100' + '0000')
  await expect(one.read('BootNext')).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(one.read('Boot0002')).rejects.toMatchObject({ code: 'ENOENT' })
  for (const damaged of [{}, { ...backup, next: 'x' }, { ...backup, kind: 'grub' }]) {
    await expect(one.first.disarm(damaged)).rejects.toMatchObject({ code: 'format' })
  }
})

test('a BootNext and an entry that were there before are there again', async () => {
  const one = await uefiHost({ ...FIRMWARE, BootNext: '0100' })
  await one.first.arm()
  const armed = await one.snapshot()
  await writeFile(join(one.folder, `BootNext-${GLOBAL}`), Buffer.from('070000000100', 'hex'))
  const before = await one.snapshot()
  const backup = await one.first.backup()
  await one.first.arm()
  expect(await one.snapshot()).toEqual(armed)
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test.each([
  ['no order', { Timeout: '0300' }],
  ['an order without what started this system', { ...FIRMWARE, BootCurrent: '0900' }],
  ['a firmware that does not say what it started', { Boot0000: '00', BootOrder: '0000' }],
])('%s: the rescue is next, but in no order', async (_, variables) => {
  const one = await uefiHost(variables)
  const before = await one.snapshot()
  const backup = await one.first.backup()
  const order = await one.read('BootOrder').catch(() => undefined)
  await one.first.arm()
  expect(await one.first.isArmed()).toBe(true)
  expect(await one.read('BootOrder').catch(() => undefined)).toBe(order)
  expect(await one.boot.hasGuard()).toBe(false)
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test.each([
  ['0200', '', { BootOrder: '0200' }],
  ['0100', '010000000200', { BootOrder: '020001000000' }],
  ['0100', '010000000200', { BootOrder: '010002000000' }],
])('an old entry of the stage is never first (current %s)', async (current, wanted, held) => {
  const one = await uefiHost({ ...FIRMWARE, BootCurrent: current })
  // Entry 2, in the place where an earlier run or the firmware put it.
  await one.first.arm()
  await unlink(join(one.folder, `BootNext-${GLOBAL}`))
  await efiVariables(one.folder).write('BootOrder', Buffer.from(held.BootOrder, 'hex'))
  const before = await one.snapshot()
  const backup = await one.first.backup()
  await one.first.arm()
  const order = await one.read('BootOrder').catch(() => '07000000')
  expect(order).toBe(`07000000${wanted}`)
  await one.first.disarm(backup)
  expect(await one.snapshot()).toEqual(before)
})

test('guard, trial, confirmation: who is first, and who is next', async () => {
  const one = await uefiHost()
  await one.boot.check()
  await one.first.arm()
  expect(await one.boot.hasGuard()).toBe(false)
  await one.boot.guard()
  expect(await one.boot.hasGuard()).toBe(true)
  expect(await one.read('BootOrder')).toBe('07000000' + '0200' + '0100' + '0000')
  await expect(one.read('BootNext')).rejects.toMatchObject({ code: 'ENOENT' })
  const plain = fakeTarget(MIB, true)
  expect(one.boot.wrapTarget(plain)).toBe(plain)
  const before = await one.snapshot()
  const settings = {
    FIRMWARE: 'uefi',
    TARGET_OPTION: optionPattern({ esp: { guid: TARGET }, path: LOADER }),
    RESCUE_OPTION: optionPattern({ esp: { guid: STAGE }, path: LOADER }),
  }
  expect(await one.boot.confirmSettings()).toEqual({ variables: settings, files: [] })
  expect(await one.snapshot()).toEqual(before)
  await one.boot.retarget()
  expect(await one.read('BootOrder')).toBe('07000000' + '0200' + '0100' + '0000' + '0300')
  const whileGranting = () => expect(one.read('BootNext')).rejects.toMatchObject({ code: 'ENOENT' })
  await one.boot.trial(whileGranting)
  expect(await one.read('BootNext')).toBe('07000000' + '0300')
  expect(await one.boot.hasGuard()).toBe(true)
  await one.boot.confirm()
  expect(await one.read('BootOrder')).toBe('07000000' + '0300' + '0200' + '0100' + '0000')
  expect(await one.boot.hasGuard()).toBe(false)
  await expect(one.boot.trial()).rejects.toMatchObject({ code: 'readback' })
  await expect(one.boot.retarget()).rejects.toMatchObject({ code: 'readback' })
  await removeRescueEntry(one.places)
  await removeRescueEntry(one.places)
  expect(await one.read('BootOrder')).toBe('07000000' + '0300' + '0100' + '0000')
})

test('the ESP is nothing to start before retarget, which wants the guard', async () => {
  const one = await uefiHost()
  const offset = 4096 * 512
  const withheld = { offset, path: join(one.folder, '../page') }
  const boot = uefiRescueBoot({ ...one.places, withheld })
  const disk = fakeTarget(4 * MIB, true)
  const start = Buffer.alloc(4_096, 0x55)
  start.set([0x55, 0xaa], 510)
  await boot.wrapTarget(disk).write(0, Buffer.concat([Buffer.alloc(offset, 1), start]))
  expect(disk.disk.subarray(offset).every((byte) => byte === 0)).toBe(true)
  const table = await readFile(one.disk)
  await writeFile(one.disk, Buffer.concat([table, disk.disk.subarray(table.length)]))
  const before = await readFile(one.disk)
  await expect(boot.retarget()).rejects.toMatchObject({ code: 'readback' })
  await boot.guard()
  expect((await readFile(one.disk)).equals(before)).toBe(true)
  await boot.retarget()
  before.set(start, offset)
  expect((await readFile(one.disk)).equals(before)).toBe(true)
  await writeFile(withheld.path, '')
  await expect(boot.retarget()).rejects.toMatchObject({ code: 'format' })
})

test('released: the rescue is neither first nor next, others keep their order', async () => {
  const one = await uefiHost()
  const before = await one.snapshot()
  await one.boot.release()
  expect(await one.snapshot()).toEqual(before)
  await one.first.arm()
  await one.boot.release()
  await expect(one.read('BootNext')).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await one.read('BootOrder')).toBe('07000000' + '0100' + '0000' + '0200')
  await efiVariables(one.folder).write('BootOrder', Buffer.from('020001000000', 'hex'))
  await one.boot.release()
  expect(await one.read('BootOrder')).toBe('07000000' + '0100' + '0000' + '0200')
  expect(await one.boot.hasGuard()).toBe(false)
  await efiVariables(one.folder).write('BootOrder', Buffer.from('0200', 'hex'))
  await one.boot.release()
  await expect(one.read('BootOrder')).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a target that cannot be told from the stage is never tried', async () => {
  const one = await uefiHost()
  await one.boot.guard()
  await writeFile(one.disk, await readFile(one.stage))
  const before = await one.snapshot()
  const { retarget, trial, confirm, confirmSettings } = one.boot
  for (const act of [retarget, trial, confirm, confirmSettings]) {
    await expect(act()).rejects.toMatchObject({ code: 'refused' })
  }
  expect(await one.snapshot()).toEqual(before)
})

test('a disk without an ESP is refused before anything is written', async () => {
  const one = await uefiHost()
  const before = await one.snapshot()
  const bytes = Buffer.alloc(MIB)
  bytes.set(gptHead(STAGE, '0fc63daf-8483-4772-8e79-3d69d8477de4'))
  await writeFile(one.stage, bytes)
  const refusal = {
    code: 'refused',
    message: `reading ${one.stage}: it has no EFI system partition`,
  }
  await expect(one.first.arm()).rejects.toMatchObject(refusal)
  await expect(one.boot.check()).rejects.toMatchObject(refusal)
  await writeFile(one.stage, new Uint8Array(MIB))
  await expect(one.boot.guard()).rejects.toMatchObject(refusal)
  expect(await one.snapshot()).toEqual(before)
  expect(await readEsp(one.disk)).toEqual({
    number: 2,
    firstLba: 4096,
    sectors: 2048,
    guid: TARGET,
  })
})

test('a variable that gets shorter has no tail, and the same is not written again', async () => {
  const one = await uefiHost()
  const variables = efiVariables(one.folder)
  await variables.write('Boot0009', Buffer.alloc(100, 1))
  await variables.write('Boot0009', Buffer.alloc(3, 2))
  expect(await one.read('Boot0009')).toBe('07000000020202')
  expect(await variables.list()).toContain('Boot0009')
  expect(await variables.list()).not.toContain('Boot0002')
  await variables.remove('Boot0009')
  await variables.remove('Boot0009')
  expect(await variables.read('Boot0009')).toBeUndefined()
})

test.skipIf(process.getuid?.() !== 0)('immutable variables are changed (needs root)', async () => {
  const one = await uefiHost()
  const path = join(one.folder, `BootOrder-${GLOBAL}`)
  const { status } = await run(['chattr', '+i', path], { statuses: [0, 1] })
  onTestFinished(async () => {
    await run(['chattr', '-i', path], { statuses: [0, 1] })
  })
  await efiVariables(one.folder).write('BootOrder', Buffer.from([9, 0]))
  expect(await one.read('BootOrder')).toBe('070000000900')
  if (status === 0) await run(['chattr', '+i', path])
  await efiVariables(one.folder).remove('BootOrder')
  await expect(one.read('BootOrder')).rejects.toMatchObject({ code: 'ENOENT' })
  expect(status).toBe(0)
})

test('a firmware that takes nothing is an error', async () => {
  const variables = efiVariables('/nonexistent')
  await expect(variables.write('BootNext', Buffer.from([0, 0]))).rejects.toMatchObject({
    code: 'io',
    message: `changing the firmware's /nonexistent/BootNext-${GLOBAL}: no such file or directory`,
  })
})
