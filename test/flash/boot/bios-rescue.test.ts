import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { biosRescueBoot } from '../../../src/flash/boot/bios-rescue.ts'
import { stageBootFiles } from '../../../src/flash/boot/stage-config.ts'
import { encodeGpt } from '../../../src/format/gpt.ts'
import { parseGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { lookAtTarget, openTarget } from '../../../src/unpack/target.ts'
import { CORE_LBA, coreSector, stageSector0 } from './grub-disk.ts'

const OLD = 0x99
const GUID = '11111111-2222-3333-4444-555555555555'

/** The start of a target's disk: a table and boot code of its own. */
const targetHead = (bootCode: Uint8Array = new Uint8Array(440).fill(0x77)): Uint8Array =>
  encodeGpt(
    {
      sectorBytes: 512,
      minimumBytes: 4 * MIB,
      table: { kind: 'gpt', guid: GUID, bootCode: Buffer.from(bootCode).toString('base64') },
      partitions: [],
    },
    (4 * MIB) / 512,
  ).head

const FIRST = 'osflash.first=(hd0,gpt2)/boot/grub'

async function host(commandLine = `ro ${FIRST} osflash.stage=hd1,gpt3`) {
  const scratch = await makeScratch('bios-rescue')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const paths = ['disk', 'stage', 'root', 'edd'].map((name) => join(scratch.path, name))
  const [disk = '', stage = '', rescueRoot = '', eddFolder = ''] = paths
  await writeFile(disk, Buffer.alloc(4 * MIB, OLD))
  await writeFile(stage, await stageSector0())
  await truncate(stage, 4 * MIB)
  const file = await open(stage, 'r+')
  await file.write(coreSector(), 0, 512, CORE_LBA * 512)
  await file.close()
  await mkdir(join(rescueRoot, 'boot/grub'), { recursive: true })
  const entry = { kernel: '/boot/vmlinuz', initrd: '/boot/initrd', commandLine: 'ro' }
  for (const { path, bytes } of stageBootFiles(entry))
    await writeFile(join(rescueRoot, path), bytes)
  const options = { rescueRoot, eddFolder, disk: async () => disk, stageDisk: async () => stage }
  const start = (text = commandLine) => biosRescueBoot({ ...options, commandLine: text })
  const sector0 = async () => (await readFile(disk)).subarray(0, 512)
  const trial = async () =>
    parseGrubEnvironment(await readFile(join(rescueRoot, 'boot/grub/osflash.env'))).get('trial')
  return { disk, stage, rescueRoot, eddFolder, boot: start(), start, sector0, trial }
}
type Host = Awaited<ReturnType<typeof host>>

/** Writes the start of a target through the guard. */
async function writeTarget({ disk }: Host, boot: Host['boot'], head = targetHead()) {
  const options = { path: disk, leastBytes: 0, overwrite: true, resume: false }
  await using opened = await openTarget(options, await lookAtTarget(options), false)
  const target = boot.wrapTarget(opened)
  await target.zeroAll([{ offset: 0, length: MIB }])
  await target.write(0, head)
  await target.sync()
}

/** A first OS's disk has the signature. */
async function writeFirst(one: Host): Promise<void> {
  await poke(one, 510, 0x55)
  await poke(one, 511, 0xaa)
}

async function poke({ disk }: Host, at: number, byte = 1): Promise<void> {
  await using file = await open(disk, 'r+')
  await file.write(Buffer.from([byte]), 0, 1, at)
}

test('the guard is 440 bytes and a signature; the table and all else stay', async () => {
  const one = await host()
  const before = await readFile(one.disk)
  await one.boot.check()
  await one.boot.release()
  expect(await one.boot.hasGuard()).toBe(false)
  expect((await readFile(one.disk)).equals(before)).toBe(true)
  await one.boot.guard()
  const expected = Buffer.from(before)
  expected.set((await stageSector0()).subarray(0, 440))
  expected[0x64] = 0x81
  expected.set([0x55, 0xaa], 510)
  expect((await readFile(one.disk)).equals(expected)).toBe(true)
  expect(await one.boot.hasGuard()).toBe(true)
  await one.boot.guard()
  expect((await readFile(one.disk)).equals(expected)).toBe(true)
  expect(await one.trial()).toBe('0')
})

test('what the guard took the place of comes back, byte by byte', async () => {
  const one = await host()
  await writeFirst(one)
  const before = await readFile(one.disk)
  const saved = await one.boot.beforeGuard()
  if (saved === undefined) throw new Error('nothing was saved')
  await one.boot.guard()
  // A guard is not what is to be saved.
  expect(await one.boot.beforeGuard()).toBeUndefined()
  // A rescue that started again, with what the store gave back.
  const again = one.start()
  const read = JSON.parse(JSON.stringify(saved))
  await again.unguard(read)
  expect((await readFile(one.disk)).equals(before)).toBe(true)
  expect(await again.hasGuard()).toBe(false)
  await again.unguard(read)
  expect((await readFile(one.disk)).equals(before)).toBe(true)
})

test('a sector 0 that is not the one of this table, or no sector, is not given back', async () => {
  const one = await host()
  await writeFirst(one)
  const saved = (await one.boot.beforeGuard()) ?? {}
  await one.boot.guard()
  await expect(one.boot.unguard({ ...saved, sector0: 'AAAA' })).rejects.toMatchObject({
    code: 'format',
  })
  await poke(one, 460)
  const after = await readFile(one.disk)
  await expect(one.boot.unguard(saved)).rejects.toThrow('its table was changed')
  await poke(one, 3)
  await expect(one.boot.unguard(saved)).rejects.toThrow('the guard is not in place')
  await poke(one, 3, after[3])
  expect((await readFile(one.disk)).equals(after)).toBe(true)
})

test('from guard to confirmation: guarded throughout, then the own code', async () => {
  const one = await host()
  await one.boot.guard()
  await writeTarget(one, one.boot)
  expect(await one.boot.hasGuard()).toBe(true)
  const settings = await one.boot.confirmSettings()
  expect(settings.variables).toEqual({
    FIRMWARE: 'bios',
    SECTOR0: '/var/lib/osflash/sector0.img',
    TABLE_ID: GUID,
  })
  const own = targetHead().subarray(0, 512)
  expect(settings.files).toEqual([{ path: '/var/lib/osflash/sector0.img', bytes: own }])
  await one.boot.retarget()
  expect(await one.trial()).toBe('0')
  const seen: unknown[] = []
  await one.boot.trial(async () => void seen.push(await one.trial()))
  expect([...seen, await one.trial()]).toEqual(['0', '1'])
  const image = join(one.rescueRoot, 'boot/grub/target-sector0.img')
  expect(Uint8Array.from(await readFile(image))).toEqual(own)
  expect(await one.boot.hasGuard()).toBe(true)
  await one.boot.confirm()
  expect(Uint8Array.from(await one.sector0())).toEqual(own)
  expect(await one.boot.hasGuard()).toBe(false)
})

test('a rescue that starts again knows what was meant as sector 0', async () => {
  const one = await host()
  await one.boot.guard()
  await writeTarget(one, one.boot)
  const again = one.start()
  expect(await again.hasGuard()).toBe(true)
  const options = { path: one.disk, leastBytes: 0, overwrite: true, resume: false }
  await using opened = await openTarget(options, await lookAtTarget(options), false)
  const seen = new Uint8Array(targetHead().length)
  await again.wrapTarget(opened).read(0, seen)
  expect(seen).toEqual(targetHead())
  await again.trial()
  // A new guard means that nothing is tried any more.
  await one.start().guard()
  expect(await one.trial()).toBe('0')
})

test('no target is wrapped while the guard was not seen', async () => {
  const one = await host()
  await expect(writeTarget(one, one.boot)).rejects.toThrow('the guard is not in place')
  await one.boot.guard()
  await expect(writeTarget(one, one.start())).rejects.toThrow('the guard is not in place')
})

test('nothing is tried that would not start, or without the guard', async () => {
  const one = await host()
  await one.boot.guard()
  const never = () => Promise.reject(new Error('granted'))
  await expect(one.boot.trial(never)).rejects.toThrow('the target has no boot code for BIOS')
  await writeTarget(one, one.boot, targetHead(new Uint8Array(440)))
  await expect(one.boot.retarget()).rejects.toThrow('the target has no boot code for BIOS')
  await writeTarget(one, one.boot)
  await one.boot.confirm()
  await expect(one.boot.trial()).rejects.toThrow('the guard is not in place')
  expect(await one.trial()).toBe('0')
  await one.boot.guard()
  const file = await open(one.disk, 'r+')
  await file.write(Buffer.from([1]), 0, 1, 460)
  await file.close()
  await expect(one.boot.retarget()).rejects.toMatchObject({ code: 'readback' })
  await expect(one.boot.confirm()).rejects.toMatchObject({ code: 'readback' })
})

test('started from the stage itself, a guard keeps its drive, a new one is refused', async () => {
  const one = await host()
  const native = one.start('osflash.stage=hd0,gpt3')
  const silent = one.start('ro')
  await expect(native.guard()).rejects.toThrow('the stage is BIOS drive 0x80')
  await expect(silent.check()).rejects.toThrow('GRUB said nothing')
  expect(await native.hasGuard()).toBe(false)
  expect((await one.sector0())[0]).toBe(OLD)
  await one.boot.guard()
  for (const boot of [native, silent]) {
    expect(await boot.hasGuard()).toBe(true)
    await boot.guard()
    expect((await one.sector0())[0x64]).toBe(0x81)
  }
  const third = one.start('osflash.stage=hd2,gpt3')
  expect(await third.hasGuard()).toBe(false)
  await third.guard()
  expect((await one.sector0())[0x64]).toBe(0x82)
})

test.each<[string, string, (one: Host) => Promise<void>]>([
  ['no boot code', 'has no boot signature', ({ stage }) => patch(stage, 510, 2)],
  ['no core image', "is not GRUB's core image", ({ stage }) => patch(stage, CORE_LBA * 512, 512)],
  [
    'no environment block',
    'it is none',
    ({ rescueRoot }) => patch(join(rescueRoot, 'boot/grub/osflash.env'), 0, 9),
  ],
  [
    'a BIOS that says otherwise',
    'it has none',
    async ({ eddFolder }) => void (await mkdir(eddFolder)),
  ],
])('a stage with %s is refused, and disk 1 stays', async (_, why, damage) => {
  const one = await host()
  await damage(one)
  await expect(one.boot.check()).rejects.toThrow(why)
  await expect(one.boot.guard()).rejects.toThrow(why)
  expect((await readFile(one.disk)).equals(Buffer.alloc(4 * MIB, OLD))).toBe(true)
})

/** Overwrites with zeros. */
async function patch(path: string, offset: number, length: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(new Uint8Array(length), 0, length, offset)
  await file.close()
}

test.each([
  ['another disk', 'osflash.first=(hd1,gpt2)/boot/grub', '(hd1,gpt2)/boot/grub'],
  ['nothing that anybody said', '', 'nothing'],
])('the BIOS starts %s: refused, unless a guard stands', async (_, first, seen) => {
  const one = await host()
  const other = one.start(`ro ${first} osflash.stage=hd1,gpt3`)
  const refusal = { code: 'refused', message: expect.stringContaining(`lies in ${seen}, not`) }
  await expect(other.check()).rejects.toMatchObject(refusal)
  await expect(other.guard()).rejects.toMatchObject(refusal)
  expect((await readFile(one.disk)).equals(Buffer.alloc(4 * MIB, OLD))).toBe(true)
  await one.boot.guard()
  await other.check()
})

test('the stage itself is never guarded', async () => {
  const one = await host()
  const boot = biosRescueBoot({
    rescueRoot: one.rescueRoot,
    commandLine: 'osflash.stage=hd1,gpt3',
    disk: async () => one.stage,
    stageDisk: async () => one.stage,
  })
  await expect(boot.guard()).rejects.toThrow('it is the stage itself')
})
