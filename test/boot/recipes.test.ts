/**
 * The recipes that ship, and the layouts that a recipe can ask for, in machines that boot.
 *
 * 1. Each ready recipe is built once, by mmdebstrap.
 * 2. Its disk boots until SSH answers with the expected system, under the named firmware.
 * 3. Other tables and file systems reuse the root of one build.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildSource } from '../../src/pack/build/build.ts'
import { makeDebianTar } from '../../src/pack/build/debian.ts'
import { loadRecipe } from '../../src/pack/recipe/load.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { GIB } from '../../src/units.ts'
import { Machine } from './machine.ts'
import { makeRealDisk } from './real-disk.ts'
import {
  askAssembled,
  askProgram,
  askUnits,
  makeAssembled,
  pretendStage,
  rebootsAfter,
  resumeResult,
  startDeadMan,
} from './rescue.ts'

const recipes = join(import.meta.dirname, '../../recipes')
const SSH_TIMEOUT_SECONDS = 400
const DISK_BYTES = 4 * GIB
const SOURCE_DATE_EPOCH = 1_700_000_000

let scratch: Scratch
let sshKey: string
let access: string

beforeAll(async () => {
  scratch = await makeScratch('boot-test')
  sshKey = join(scratch.path, 'login')
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', sshKey])
  const key = (await readFile(`${sshKey}.pub`, 'utf8')).trim()
  access = `access.root-authorized-keys=["${key}"]`
})

afterAll(async () => {
  await scratch[Symbol.asyncDispose]()
})

interface Case {
  readonly folder: string
  readonly recipe: string
  readonly set: readonly string[]
}

/** Builds a recipe, packs it and unpacks it; returns the disk's path. */
async function makeDisk({ folder, recipe, set }: Case): Promise<string> {
  await mkdir(folder)
  const loaded = await loadRecipe(join(recipes, recipe), {
    set: [access, 'customise.hostname=flashed', ...set],
  })
  await using build = await makeScratch('build', folder)
  const source = await buildSource(loaded, {
    scratch: build.path,
    emit: () => undefined,
    sourceDateEpoch: SOURCE_DATE_EPOCH,
  })
  // Awaited here: the scratch folder of the build is removed when this function ends.
  return await makeRealDisk(source, folder, DISK_BYTES)
}

interface Boot {
  readonly firmware: 'bios' | 'uefi'
  readonly folder: string
  readonly path: string
  readonly sectorBytes?: 512 | 4096
}

interface Answer {
  readonly release: string
  readonly hostname: string
  readonly firmware: string
  readonly root: string
  readonly failedUnits: string
  readonly hasGrown: boolean
}

/** Boots once more where QEMU's translator, not the system, broke the guest's kernel. */
async function boot(options: Boot): Promise<Answer> {
  try {
    return await bootOnce(options)
  } catch (error) {
    const path = join(options.folder, `${options.firmware}-serial.log`)
    const log = await readFile(path, 'latin1').catch(() => '')
    if (!log.includes('Oops: int3')) throw error
    return await bootOnce(options)
  }
}

async function bootOnce({ firmware, folder, path, sectorBytes = 512 }: Boot): Promise<Answer> {
  const machine = await Machine.start({
    firmware,
    disks: [{ path, serial: 'TEST0001', sectorBytes }],
    folder,
    sshKey,
    keepDisks: false,
  })
  await using _machine = machine
  await machine.waitForSsh(SSH_TIMEOUT_SECONDS)
  const ask = async (command: string) => (await machine.ssh(command)).trim()
  return {
    release: await ask('. /etc/os-release; echo "$ID $VERSION_ID"'),
    hostname: await ask('cat /proc/sys/kernel/hostname'),
    firmware: await ask('[ -d /sys/firmware/efi ] && echo uefi || echo bios'),
    root: await ask('findmnt -no FSTYPE /'),
    failedUnits: await ask('systemctl --failed --plain --no-legend'),
    hasGrown: Number(await ask('df --output=size -B1 / | tail -n 1')) > 3 * GIB,
  }
}

const expected = { hostname: 'flashed', failedUnits: '', hasGrown: true }

const disks = new Map<string, Promise<string>>()

/** The disk of a recipe that ships, made once. */
function recipeDisk(recipe: string): Promise<string> {
  const made =
    disks.get(recipe) ?? makeDisk({ folder: join(scratch.path, recipe), recipe, set: [] })
  disks.set(recipe, made)
  return made
}

// The demo builds and boots debian-13.yaml; its root is that of the cases further down.
test.each([
  ['debian-12.yaml', '12'],
  ['rescue-debian-13.yaml', '13'],
])('%s boots under BIOS and UEFI', async (recipe, version) => {
  const path = await recipeDisk(recipe)
  const folder = dirname(path)
  for (const firmware of ['bios', 'uefi'] as const) {
    const answer = await boot({ firmware, folder, path })
    expect(answer).toEqual({ ...expected, firmware, release: `debian ${version}`, root: 'ext4' })
    await run(['rm', '-f', join(folder, 'known_hosts')])
  }
})

test('a rescue needs nobody: it assembles nothing, and what hangs reboots', async () => {
  const path = await recipeDisk('rescue-debian-13.yaml')
  const folder = dirname(path)
  const spare = join(folder, 'spare.img')
  await run(['truncate', '--size=256M', spare])
  const both = [
    { path, serial: 'TEST0001' },
    { path: spare, serial: 'TEST0002' },
  ]
  const options = { firmware: 'bios', disks: both, folder, sshKey, keepDisks: false } as const
  await using machine = await Machine.start(options)
  await machine.waitForSsh(SSH_TIMEOUT_SECONDS)
  const { version } = JSON.parse(await readFile(join(recipes, '../package.json'), 'utf8'))
  expect(await askProgram(machine)).toEqual([version, 'no Node of Debian'])
  expect(await askUnits(machine)).toEqual(['no', 'enabled', 'active', 'enabled', '1', '1'])
  expect(await makeAssembled(machine)).toMatch(/^1 arrays; spare-volume/)
  // No stage: the dead man has nothing to look after.
  expect(await startDeadMan(machine)).toBe('no')
  await pretendStage(machine)
  await rebootsAfter(machine, 'systemctl start --no-block osflash-dead-man', SSH_TIMEOUT_SECONDS)
  expect(await askAssembled(machine)).toBe('0 arrays; No devices found')
  // A stage without a store: the program says so and the rescue stays, as it has started.
  expect(await resumeResult(machine)).toBe('exit-code')
  expect(await startDeadMan(machine)).toBe('no')
  await rebootsAfter(machine, 'systemctl emergency', SSH_TIMEOUT_SECONDS)
})

const ROOT_ONLY = '[{role: root, grow: true, file-system: ext4}]'
const withRoot = (kind: string) =>
  `[{role: bios-boot}, {role: esp}, {role: swap, size: 64MiB}, ` +
  `{role: root, grow: true, file-system: ${kind}}]`

const LARGE_SECTORS = '{sector-size: 4096, partitions: [{role: esp}, {role: root, grow: true}]}'

/** Names that mkfs.xfs cannot take (docs/recipes.md, "Limits"). */
const FOR_XFS = 'customise.scripts=[{content: "rm -f /var/lib/ucf/cache/*"}]'

test.each([
  [
    'MBR, ext4',
    'bios',
    'ext4',
    ['disk.table=mbr', 'firmware=[bios]', `disk.partitions=${ROOT_ONLY}`],
  ],
  ['GPT, btrfs, swap', 'uefi', 'btrfs', [`disk.partitions=${withRoot('btrfs')}`]],
  ['GPT, xfs, swap', 'bios', 'xfs', [`disk.partitions=${withRoot('xfs')}`, FOR_XFS]],
  ['sectors of 4,096 bytes', 'uefi', 'ext4', ['firmware=[uefi]', `disk=${LARGE_SECTORS}`]],
] as const)('layout: %s boots under %s', async (name, firmware, root, set) => {
  const sectorBytes = name.startsWith('sectors') ? 4096 : 512
  const tarball = await sharedRoot()
  const folder = join(scratch.path, name.replaceAll(/\W+/g, '-'))
  const source = ['source={}', `source.tar=${tarball}`]
  const disk = await makeDisk({ folder, recipe: 'debian-13.yaml', set: [...source, ...set] })
  const answer = await boot({ firmware, folder, path: disk, sectorBytes })
  expect(answer).toEqual({ ...expected, firmware, release: 'debian 13', root })
  await run(['rm', '-rf', folder])
})

let shared: Promise<string> | undefined

/** The root of debian-13.yaml with the tools of all file systems, made once. */
function sharedRoot(): Promise<string> {
  shared ??= (async () => {
    const { recipe } = await loadRecipe(join(recipes, 'debian-13.yaml'))
    const { debian } = recipe.source
    if (debian === undefined) throw new Error('debian-13.yaml has no debian source')
    const target = join(scratch.path, 'shared.tar')
    const packages = [...debian.packages, 'btrfs-progs', 'xfsprogs']
    await makeDebianTar(
      { ...debian, packages },
      { scratch: scratch.path, emit: () => undefined, sourceDateEpoch: SOURCE_DATE_EPOCH },
      { target, architecture: recipe.architecture },
    )
    return target
  })()
  return shared
}
