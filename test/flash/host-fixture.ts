/**
 * A host in the middle of a replacement: a folder as its root, a loop device as its stage.
 *
 * Needs root. All is taken away when the test ends.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createJournal } from '../../src/flash/journal.ts'
import { FIRST_OS, RESCUE, STORE, STORE_LABEL, TARGET } from '../../src/flash/places.ts'
import { type FlashPlan, planBytes, planDigest } from '../../src/flash/plan/plan.ts'
import type { JournalRecord, SystemName } from '../../src/flash/states.ts'
import { makeStore, mountStore } from '../../src/flash/store.ts'
import { settingsText } from '../../src/flash/trial/settings.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { tightFolder } from './bad-sector.ts'
import { flashPlan } from './flash-plan.ts'

export const isRoot = process.getuid?.() === 0

/** As the disk of a running host, of 24 MiB. */
const DISK_BYTES = 24 * MIB

export async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('flash-test', '/var/tmp')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

export async function loopDevice(file: string): Promise<string> {
  const device = (await run(['losetup', '--find', '--show', file])).stdout.trim()
  onTestFinished(async () => {
    await run(['losetup', '--detach', device])
  })
  return device
}

export interface HostFixture {
  readonly root: string
  readonly device: string
  /** Content of the stage disk. */
  readonly file: string
  readonly uuid: string
  readonly plan: FlashPlan
  readonly digest: string
  /** Lets something be done with the mounted store. */
  readonly inStore: <T>(work: (path: string) => Promise<T>) => Promise<T>
}

export interface FixtureOptions {
  readonly system: SystemName
  /** Without it there is no store. */
  readonly state?: JournalRecord['state']
  readonly bootId?: string
  readonly plan?: Partial<FlashPlan>
  /** The stage lies where `breakSector` can break it. */
  readonly isBreakable?: boolean
}

export async function hostFixture(options: FixtureOptions): Promise<HostFixture> {
  const folder = await scratchFolder()
  const full = join(folder, 'full')
  const isBreakable = options.isBreakable ?? false
  const file = join(isBreakable ? await tightFolder(full, DISK_BYTES) : folder, 'stage')
  await writeFile(file, Buffer.alloc(DISK_BYTES, 'stage'))
  await truncate(file, DISK_BYTES)
  const device = await loopDevice(file)
  const uuid = randomUUID()
  const stage = { serial: file, bytes: DISK_BYTES, sectorBytes: 512, path: device }
  const plan = flashPlan({ stage, ...options.plan })
  const digest = planDigest(planBytes(plan))
  const root = join(folder, 'root')
  await writeFacts(root, options.system, { storeUuid: uuid, planDigest: digest, stage })
  const at = join(folder, 'at')
  const inStore = async <T>(work: (path: string) => Promise<T>): Promise<T> => {
    await using store = await mountStore({ uuid, at })
    return await work(store.path)
  }
  const { state, system, bootId } = options
  if (state !== undefined) {
    await makeStore({ device, uuid, label: STORE_LABEL })
    await inStore(async (path) => {
      await writeFile(join(path, STORE.plan), planBytes(plan))
      if (plan.notify !== undefined) await writeFile(join(path, STORE.notify), plan.notify)
      const attempts = { flash: 0, trial: 0 }
      const first = { state, system, planDigest: digest, attempts }
      await createJournal(path, bootId === undefined ? first : { ...first, bootId })
    })
  }
  return { root, device, file, uuid, plan, digest, inStore }
}

interface Facts {
  readonly storeUuid: string
  readonly planDigest: string
  readonly stage: FlashPlan['stage']
}

async function writeFacts(root: string, system: SystemName, facts: Facts): Promise<void> {
  const { storeUuid, planDigest: digest } = facts
  const rescue = { format: 'osflash-stage/1', rescueRootUuid: storeUuid, storeUuid }
  const texts = {
    'first-os': [FIRST_OS.run, JSON.stringify(facts)],
    rescue: [RESCUE.stageFacts, JSON.stringify({ ...rescue, planDigest: digest })],
    target: [TARGET.settings, settingsText({ STORE_UUID: storeUuid, PLAN_DIGEST: digest })],
  } as const
  const [path, text] = texts[system]
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}

/**
 * The superblock stays, what lies behind it does not: the store is found, and does not mount.
 * Flushed: the file of a loop device would else change behind whoever compares it.
 */
export async function damageStore(device: string): Promise<void> {
  const place = ['bs=4096', 'seek=1', 'count=600', 'conv=fsync'] as const
  await run(['dd', 'if=/dev/urandom', `of=${device}`, ...place])
}

/**
 * Its name stays, as that of an empty disk of another size: the stage is not found any more.
 *
 * The device is not taken away and set up anew: it stays busy while udev has it open, and is
 * anybody's afterwards.
 */
export async function loseStage({ device, file }: HostFixture): Promise<void> {
  // The device's own cache would go on to show what its file no longer has.
  await run(['blkdiscard', '--zeroout', device])
  await truncate(file, MIB)
  await run(['losetup', '--set-capacity', device])
}
