/** An abort with a stage disk that fails: it ends, and says what may be left. */
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/events.ts'
import { abortRun } from '../../src/flash/abort.ts'
import { FIRST_OS, STORE } from '../../src/flash/places.ts'
import { planBytes } from '../../src/flash/plan/plan.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { breakSector } from './bad-sector.ts'
import { type HostFixture, hostFixture, isRoot } from './host-fixture.ts'

const BACKUP = JSON.stringify({ kind: 'grub', custom: null, bytes: 1_024 })
/** Of ext4's superblock, which lies at 1,024. */
const REVISION_OFFSET = 1_024 + 0x4c
const BAD = 14 * MIB
const SECRET = "the host's key".repeat(1_000)

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/** The store begins at byte 0 here; the plan says where the rescue would end. */
async function armed(isBreakable = false) {
  const plan = { store: { offset: 8 * MIB, bytes: 12 * MIB } }
  const host = await hostFixture({ system: 'first-os', state: 'armed', plan, isBreakable })
  await host.inStore(async (path) => {
    await mkdir(join(path, STORE.carry))
    for (const name of ['key', 'shadow']) {
      await writeFile(join(path, STORE.carry, name), SECRET, { flush: true })
    }
    await writeFile(join(path, STORE.sessionKey), SECRET)
    await writeFile(join(path, STORE.armBackup), BACKUP)
  })
  await writeFile(join(host.root, FIRST_OS.armBackup), BACKUP)
  await writeFile(join(host.root, FIRST_OS.plan), planBytes(host.plan))
  const notes: string[] = []
  const abort = () =>
    abortRun({
      root: host.root,
      makeBoot: async () => ({ disarm: async () => {} }),
      startsByStage: async () => false,
      emit: (event: ProgressEvent) => void (event.event === 'note' && notes.push(event.text)),
    })
  return { host, notes, abort }
}

/** Stands for a bad sector below one file. */
const makeImmutable = ({ inStore }: HostFixture) =>
  inStore((path) => run(['chattr', '+i', join(path, STORE.carry, 'key')]))

const isUnderWay = ({ root }: HostFixture): Promise<boolean> =>
  stat(join(root, FIRST_OS.run)).then(
    () => true,
    () => false,
  )

describe.skipIf(!isRoot)('abort with a stage disk that fails (as root)', () => {
  test('secrets that cannot be erased go with all of the store', async () => {
    const { host, notes, abort } = await armed()
    await makeImmutable(host)
    expect(await abort()).toBe(true)
    expect(notes).toEqual([expect.stringMatching(/^erasing .*all of the store is overwritten/)])
    expect(isZero((await readFile(host.file)).subarray(0, 20 * MIB))).toBe(true)
    expect(await isUnderWay(host)).toBe(false)
  })

  test('one that cannot be erased keeps no other, also while the stage is in use', async () => {
    const { host, abort } = await armed()
    await makeImmutable(host)
    await host.inStore(async (path) => {
      await expect(abort()).rejects.toThrow('in use')
      expect(await readdir(path)).not.toContain(STORE.sessionKey)
      expect(await readdir(join(path, STORE.carry))).toEqual(['key'])
    })
    expect(await isUnderWay(host)).toBe(true)
    expect(await abort()).toBe(true)
    expect((await readFile(host.file)).includes(SECRET)).toBe(false)
    expect(await isUnderWay(host)).toBe(false)
  })

  test('without a plan nobody knows what to overwrite, and it is a failure', async () => {
    const { host, abort } = await armed()
    await makeImmutable(host)
    await host.inStore((path) => writeFile(join(path, STORE.plan), '{'))
    await writeFile(join(host.root, FIRST_OS.plan), '{')
    await host.inStore((path) => run(['rm', join(path, STORE.armBackup)]))
    await run(['rm', join(host.root, FIRST_OS.armBackup)])
    await expect(abort()).rejects.toMatchObject({ code: 'io' })
    expect(await isUnderWay(host)).toBe(true)
  })

  test('a bad sector in the rescue keeps no end', async () => {
    const { host, notes, abort } = await armed(true)
    await breakSector(host, 6 * MIB)
    expect(await abort()).toBe(true)
    expect(notes).toEqual([
      expect.stringMatching(/^writing .*starts nothing, but secrets may be left on it$/),
    ])
    const bytes = await readFile(host.file)
    for (const [from, to] of [
      [0, 6],
      [7, 12],
      [20, 24],
    ] as const) {
      expect(isZero(bytes.subarray(from * MIB, to * MIB))).toBe(true)
    }
    expect(await isUnderWay(host)).toBe(false)
  })

  test('a store that takes no writes any more is no obstacle', async () => {
    const { host, notes, abort } = await armed()
    const journal = await host.inStore((path) =>
      run(['chattr', '+i', join(path, STORE.journal[0]), join(path, STORE.journal[1])]),
    )
    expect(journal.status).toBe(0)
    expect(await abort()).toBe(true)
    expect(notes).toEqual([expect.stringMatching(/all of the store is overwritten instead$/)])
    expect(await isUnderWay(host)).toBe(false)
  })

  test('a store that does not mount, with a bad sector: the stage starts nothing', async () => {
    const { host, notes, abort } = await armed(true)
    await breakSector(host, BAD)
    await using file = await open(host.device, 'r+')
    await file.write(Buffer.alloc(4, 0xee), 0, 4, REVISION_OFFSET)
    await file.sync()
    await file.close()
    expect(await abort()).toBe(true)
    expect(notes).toEqual([
      expect.stringMatching(/^mounting .*; all of the store is overwritten instead$/s),
      expect.stringMatching(/^writing .*starts nothing, but secrets may be left on it$/),
    ])
    const bytes = await readFile(host.file)
    expect(isZero(bytes.subarray(0, 12 * MIB))).toBe(true)
    expect(isZero(bytes.subarray(20 * MIB))).toBe(true)
    expect(await isUnderWay(host)).toBe(false)
  })
})
