/**
 * The chain of sector 0 under SeaBIOS, with disks that hold GRUB alone: armed, guard, trial,
 * confirmation, and what comes back when something does not load.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { biosFirstOsBoot } from '../../../src/flash/boot/bios-first-os.ts'
import { biosRescueBoot } from '../../../src/flash/boot/bios-rescue.ts'
import { stageBootFiles } from '../../../src/flash/boot/stage-config.ts'
import { emptyGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { grubConfig } from '../../../src/pack/build/grub-config.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { lookAtTarget, openTarget } from '../../../src/unpack/target.ts'
import { DISK_BYTES, makeGrubOnlyDisk, ROOT_BYTES, ROOT_OFFSET } from './grub-only-disk.ts'

const FIRST_UUID = '10000000-0000-4000-8000-000000000001'
const STAGE_UUID = '20000000-0000-4000-8000-000000000002'
const TARGET_UUID = '30000000-0000-4000-8000-000000000003'
/** Is not there: what cannot be loaded must reboot. */
const ENTRY = { kernel: '/boot/vmlinuz', initrd: '/boot/initrd', commandLine: 'ro' }
const SERIAL = 'serial --unit=0 --speed=115200\nterminal_output console serial\n'

let scratch: Scratch
let stage: string
beforeAll(async () => {
  scratch = await makeScratch('bios-chain')
  const files = stageBootFiles(ENTRY).map(({ path, bytes }) => [path, bytes] as const)
  const stageFiles = Object.fromEntries(files)
  stage = await makeGrubOnlyDisk({ ...(await place('stage')), uuid: STAGE_UUID, files: stageFiles })
})
afterAll(() => scratch[Symbol.asyncDispose]())

async function place(name: string): Promise<{ folder: string }> {
  const folder = join(scratch.path, name)
  await mkdir(folder)
  return { folder }
}

/** Switches on a machine with the first disk and the stage, until the log has all words. */
async function bootUntil(disk: string, words: readonly string[]): Promise<string> {
  const log = join(scratch.path, 'serial.log')
  await rm(log, { force: true })
  const drives = [disk, stage].flatMap((path, i) => [
    ...['-drive', `if=none,id=d${i},format=raw,file=${path}`],
    ...['-device', `virtio-blk-pci,drive=d${i},bootindex=${i + 1}`],
  ])
  const machine = ['-accel', 'tcg', '-m', '256', '-display', 'none', '-monitor', 'none']
  const options = [...machine, '-nic', 'none', '-serial', `file:${log}`, ...drives]
  const qemu = spawn('nice', ['qemu-system-x86_64', ...options], { stdio: 'ignore' })
  try {
    return await logWith({ qemu, log, words })
  } finally {
    const ended = once(qemu, 'exit')
    if (qemu.exitCode === null && qemu.kill('SIGKILL')) await ended
  }
}

interface Waiting {
  readonly qemu: ChildProcess
  readonly log: string
  readonly words: readonly string[]
}

const PATIENCE_SECONDS = 90

/** The words of the log that are ours, in order. */
async function logWith({ qemu, log, words }: Waiting): Promise<string> {
  const lines = async () => {
    const text = await readFile(log, 'latin1').catch(() => '')
    return (text.match(/osflash: [\w ,:]+|target: up|first: up/g) ?? []).map((word) => word.trim())
  }
  for (let second = 0; second < PATIENCE_SECONDS; second += 1) {
    const seen = await lines()
    if (seen.length >= words.length || qemu.exitCode !== null) break
    await sleep(1_000)
  }
  return (await lines()).slice(0, words.length).join('\n')
}

/** The stage's root, mounted as the rescue would have it. */
async function inRescue<Result>(
  disk: string,
  work: (boot: ReturnType<typeof biosRescueBoot>) => Promise<Result>,
): Promise<Result> {
  const rescueRoot = join(scratch.path, 'mounted')
  await mkdir(rescueRoot, { recursive: true })
  const options = `loop,offset=${ROOT_OFFSET},sizelimit=${ROOT_BYTES}`
  await run(['mount', '-o', options, stage, rescueRoot])
  try {
    return await work(
      biosRescueBoot({
        disk: async () => disk,
        stageDisk: async () => stage,
        rescueRoot,
        commandLine: 'ro osflash.first=(hd0,gpt2)/boot/grub osflash.stage=hd1,gpt2',
        eddFolder: '/nonexistent',
      }),
    )
  } finally {
    await run(['umount', rescueRoot])
  }
}

const FAILED = 'osflash: the rescue could not be loaded, rebooting'

/** As the armed entry's `osflash.first`: what an entry sees as $prefix. */
const FIRST_UP = `  if regexp '^\\(hd0,' "$prefix"; then
    echo "first: up"
  fi
`

type GrubOnlyDisk = Parameters<typeof makeGrubOnlyDisk>[0]

/** A first OS that is armed; `change` is what becomes of its grub.cfg afterwards. */
async function armedDisk(name: string, change = (text: string) => text): Promise<string> {
  const kernels = [{ version: '1', kernel: '/none', initrd: undefined }]
  const config = grubConfig({ title: 'first', rootUuid: FIRST_UUID, commandLine: 'ro', kernels })
  const text = config.replace('  linux ', `${FIRST_UP}  linux `)
  const arm: GrubOnlyDisk['change'] = async (root) => {
    const grubFolder = join(root, 'boot/grub')
    await biosFirstOsBoot({ ...ENTRY, grubFolder, rescueRootUuid: STAGE_UUID }).arm()
    await writeFile(join(grubFolder, 'grub.cfg'), change(text))
  }
  const files = { '/boot/grub/grub.cfg': text, '/boot/grub/grubenv': emptyGrubEnvironment() }
  return makeGrubOnlyDisk({ ...(await place(name)), uuid: FIRST_UUID, files, change: arm })
}

test('armed: the rescue once; as it does not load, the first OS again', async () => {
  const expected = ['osflash: armed', FAILED, 'first: up']
  const disk = await armedDisk('first')
  expect((await bootUntil(disk, expected)).split('\n')).toEqual(expected)
})

test('a next_entry that GRUB cannot clear: the first OS, not the rescue', async () => {
  const stays = 'osflash: next_entry stays set, the first OS is started'
  const expected = ['osflash: armed', stays, 'first: up']
  const disk = await armedDisk('stays', (text) => text.replace('  save_env next_entry\n', ''))
  expect((await bootUntil(disk, expected)).split('\n')).toEqual(expected)
})

test.skipIf(process.getuid?.() !== 0)(
  'guard, trial, guard again, confirmation (mounting the stage needs root)',
  async () => {
    const target = await makeGrubOnlyDisk({
      ...(await place('target')),
      uuid: TARGET_UUID,
      files: { '/boot/grub/grub.cfg': `${SERIAL}echo "target: up"\nsleep 1\nreboot\n` },
    })
    const disk = join((await place('disk')).folder, 'disk.img')
    await run(['truncate', '-s', String(DISK_BYTES), disk])
    await inRescue(disk, (boot) => boot.guard())
    const guarded = ['osflash: guard', 'osflash: rescue', FAILED, 'osflash: guard']
    expect((await bootUntil(disk, guarded)).split('\n')).toEqual(guarded)

    await inRescue(disk, async (boot) => {
      expect(await boot.hasGuard()).toBe(true)
      const options = { path: disk, leastBytes: 0, overwrite: true, resume: false }
      await using opened = await openTarget(options, await lookAtTarget(options), false)
      const wrapped = boot.wrapTarget(opened)
      await wrapped.write(0, await readFile(target))
      await wrapped.sync()
      await boot.retarget()
    })
    const written = guarded.slice(0, 3)
    expect((await bootUntil(disk, written)).split('\n')).toEqual(written)

    await inRescue(disk, (boot) => boot.trial())
    const tried = ['osflash: guard', 'osflash: trial', 'target: up', 'osflash: guard']
    const once = [...tried, 'osflash: rescue', FAILED]
    expect((await bootUntil(disk, once)).split('\n')).toEqual(once)

    await inRescue(disk, (boot) => boot.confirm())
    const own = ['target: up', 'target: up']
    expect((await bootUntil(disk, own)).split('\n')).toEqual(own)
    expect((await readFile(disk)).equals(await readFile(target))).toBe(true)
  },
)
