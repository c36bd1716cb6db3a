/** A used stage on a loop device: what it held of its host is gone before it is taken again. */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { STORE, STORE_LABEL } from '../../../src/flash/places.ts'
import type { DiskIdentity } from '../../../src/flash/plan/plan.ts'
import { clearEarlierStage } from '../../../src/flash/stage/earlier-stage.ts'
import { makeStore, mountStore } from '../../../src/flash/store.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { isRoot, loopDevice, scratchFolder } from '../host-fixture.ts'

const DISK_BYTES = 48 * MIB
const STORE_START = 16 * MIB
const KEY = 'PRIVATE KEY of the host, in a rescue'
const SECRET = '0123456789abcdef-session-key'

interface UsedStage {
  readonly identity: DiskIdentity
  readonly file: string
  readonly folder: string
  /** Of the store's partition. */
  readonly partitionUuid: string
  readonly storeDevice: string
}

/** A root and a partition named `name`, as the kernel sees them. */
async function diskWith(name: string): Promise<UsedStage> {
  const folder = await scratchFolder()
  const file = join(folder, 'stage')
  await writeFile(file, '')
  await truncate(file, DISK_BYTES)
  const partitionUuid = randomUUID()
  const table =
    'label: gpt\nstart=1MiB, size=14MiB, name=root\n' +
    `start=16MiB, size=24MiB, name=${name}, uuid=${partitionUuid}\n`
  await run(['sfdisk', '--quiet', file], { stdin: Buffer.from(table) })
  await using disk = await open(file, 'r+')
  await disk.write(KEY, 14 * MIB)
  const device = await loopDevice(file)
  await run(['partx', '--add', device], { statuses: [0, 1] })
  onTestFinished(async () => {
    await run(['partx', '--delete', device], { statuses: [0, 1] })
  })
  const identity = { serial: file, bytes: DISK_BYTES, sectorBytes: 512, path: device }
  return { identity, file, folder, partitionUuid, storeDevice: `${device}p2` }
}

async function usedStage(uuid: string = randomUUID()): Promise<UsedStage> {
  const stage = await diskWith(STORE_LABEL)
  await makeStore({ device: stage.storeDevice, uuid, label: STORE_LABEL })
  await using store = await mountStore({ uuid, at: join(stage.folder, 'fill') })
  await writeFile(join(store.path, STORE.sessionKey), SECRET, { flush: true })
  await mkdir(join(store.path, STORE.carry))
  await writeFile(join(store.path, STORE.carry, 'host-key'), SECRET, { flush: true })
  return stage
}

/** Everything on the disk, also what is in no file any more. */
const onDisk = async (file: string): Promise<string> => (await readFile(file)).toString('latin1')

describe.skipIf(!isRoot)('a disk that is taken as the stage (as root)', () => {
  test('loses the rescue and the secrets of another run', async () => {
    const { identity, file, folder } = await usedStage()
    expect(await onDisk(file)).toContain(KEY)
    expect(await onDisk(file)).toContain(SECRET)
    await clearEarlierStage(identity, randomUUID(), join(folder, 'at'))
    const after = await onDisk(file)
    expect(after).not.toContain(KEY)
    expect(after).not.toContain(SECRET)
    expect(after.slice(0, STORE_START)).toMatch(/^\0*$/)
    // Again, as after a cut.
    await clearEarlierStage(identity, randomUUID(), join(folder, 'at'))
  })

  test('loses them too when an earlier run left its store mounted', async () => {
    const uuid = randomUUID()
    const { identity, file, folder } = await usedStage(uuid)
    const at = join(folder, 'at')
    await mountStore({ uuid, at })
    await clearEarlierStage(identity, randomUUID(), at)
    const after = await onDisk(file)
    expect([after.includes(KEY), after.includes(SECRET)]).toEqual([false, false])
  })

  test('loses the rescue too when its store cannot be mounted', async () => {
    const { identity, file, folder, storeDevice } = await usedStage()
    await run([
      'dd',
      'if=/dev/zero',
      `of=${storeDevice}`,
      'bs=1k',
      'seek=2',
      'count=64',
      'conv=fsync',
    ])
    await clearEarlierStage(identity, randomUUID(), join(folder, 'at'))
    expect(await onDisk(file)).not.toContain(KEY)
  })

  test('keeps what this run has written', async () => {
    const { identity, file, folder, partitionUuid } = await usedStage()
    await clearEarlierStage(identity, partitionUuid, join(folder, 'at'))
    const after = await onDisk(file)
    expect(after).toContain(KEY)
    expect(after).toContain(SECRET)
  })

  test('is left as it is when it never was one', async () => {
    const { identity, file } = await diskWith('data')
    const before = await readFile(file)
    await clearEarlierStage(identity, randomUUID())
    expect((await readFile(file)).equals(before)).toBe(true)
  })
})

test('a stage that is gone is refused', async () => {
  const identity = { serial: '/no/such/disk', bytes: DISK_BYTES, sectorBytes: 512, path: '/dev/x' }
  await expect(clearEarlierStage(identity, randomUUID())).rejects.toMatchObject({ code: 'refused' })
})
