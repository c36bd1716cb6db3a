/** What the acts of the rescue write down before they do what cannot be undone. */
import { access, copyFile, mkdir, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import type { Carry } from '../../../src/flash/carry/model.ts'
import { manifestDigest } from '../../../src/flash/image-places.ts'
import { STORE } from '../../../src/flash/places.ts'
import type { FlashPlan } from '../../../src/flash/plan/plan.ts'
import { rescueActs } from '../../../src/flash/rescue/acts.ts'
import type { RescueHost } from '../../../src/flash/rescue/host.ts'
import { storeTrust } from '../../../src/flash/stage/store-content.ts'
import { MIB } from '../../../src/units.ts'
import { openImage } from '../../../src/unpack/image.ts'
import { makeKeys } from '../../pack/image/fixtures.ts'
import { checkFor, packDisk, regions } from '../../unpack/disk-fixtures.ts'
import { flashPlan } from '../flash-plan.ts'
import { isRoot, loopDevice, scratchFolder } from '../host-fixture.ts'

const DISK_BYTES = 16 * MIB
const SAVED = { kind: 'sector-0', sector0: 'AAAA' }

const carry: Carry = {
  format: 'osflash-carry/1',
  hostname: 'web-1',
  interfaces: [],
  dnsServers: [],
  dnsDomains: [],
  reach: { gateways: [], addresses: [] },
  hostKeys: [],
  rootKeys: 1,
  hasRootPassword: false,
}

/** A store with a target that was really packed; what the plan says of it. */
async function storeTarget(store: string): Promise<Partial<FlashPlan>> {
  const folder = await scratchFolder()
  const keys = await makeKeys()
  const image = await packDisk({ folder, regions: regions() }, keys)
  await copyFile(image, join(store, STORE.image))
  await storeTrust(store, [{ name: 'signer.pub', bytes: Buffer.from(keys.signerCert.armor()) }])
  await writeFile(join(store, STORE.sessionKey), `${'0'.repeat(64)}\n`)
  await using source = await openFileSource(image)
  const { manifestBytes } = await openImage(source, checkFor(keys))
  return { target: { ...flashPlan().target, manifestSha256: manifestDigest(manifestBytes) } }
}

/** A rescue with a store in a folder; its boot method notes what lay on the store when asked. */
async function rescue(disk = flashPlan().disk) {
  const store = await scratchFolder()
  const target = await storeTarget(store)
  const has = (name: string): Promise<boolean> =>
    access(join(store, name)).then(
      () => true,
      () => false,
    )
  const seen: string[] = []
  let hasGuard = false
  const note = async (act: string, ...names: string[]): Promise<void> => {
    const there = await Promise.all(names.map(async (name) => ((await has(name)) ? [name] : [])))
    seen.push([act, ...there.flat()].join(' '))
  }
  const boot: RescueHost['boot'] = {
    check: () => note('check'),
    guard: async () => {
      await note('guard', STORE.guardBackup, STORE.intent)
      hasGuard = true
    },
    hasGuard: async () => hasGuard,
    beforeGuard: async () => (hasGuard ? undefined : SAVED),
    unguard: () => note('unguard'),
    release: () => note('release'),
    wrapTarget: (target) => target,
    retarget: () => note('retarget'),
    trial: async (granting) => {
      await note('looked', STORE.granted, STORE.trialLog)
      await granting?.()
      await note('trial', STORE.granted)
    },
    confirm: async () => {
      await note('confirm', STORE.confirmed)
      if (hasGuard) throw new Error('the firmware is locked')
    },
    confirmSettings: async () => ({ variables: {}, files: [] }),
  }
  const acts = rescueActs({
    plan: flashPlan({ disk, ...target }),
    planDigest: 'a'.repeat(64),
    store,
    storeUuid: 'store',
    rescueRootUuid: 'rescue',
    carry,
    boot,
    isManned: false,
    alive: async () => undefined,
    emit: () => undefined,
  })
  return { acts, store, seen, has }
}

it('a record of sequences that is none is found while there is a way back', async () => {
  const { acts, store } = await rescue()
  await writeFile(join(store, STORE.sequences), 'torn')
  await expect(acts.rehearse()).rejects.toThrow('it is no record of image sequences')
})

describe('a trial', () => {
  it('has its number on the store right before it is granted', async () => {
    const { acts, seen, store } = await rescue()
    await writeFile(join(store, STORE.trialLog), 'of an earlier one')
    expect(await acts.wasGranted(1)).toBe(false)
    await acts.trial(1)
    expect(seen).toEqual(['looked', `trial ${STORE.granted}`])
    expect([await acts.wasGranted(1), await acts.wasGranted(2)]).toEqual([true, false])
    await acts.trial(2)
    expect([await acts.wasGranted(1), await acts.wasGranted(2)]).toEqual([false, true])
  })

  it('of which nothing can be read is no trial that never was', async () => {
    const { acts, store } = await rescue()
    await mkdir(join(store, STORE.granted))
    await expect(acts.wasGranted(1)).rejects.toMatchObject({ code: 'io' })
  })

  it('that nobody has to confirm is confirmed on the store first', async () => {
    const { acts, seen, store } = await rescue()
    await acts.confirm()
    expect(seen).toEqual([`confirm ${STORE.confirmed}`])
    expect(await readFile(join(store, STORE.confirmed), 'utf8')).toBe(`${'a'.repeat(64)}\n`)
  })
})

describe.skipIf(!isRoot)('behind the rehearsal (as root, with a loop device)', () => {
  async function withDisk() {
    const file = join(await scratchFolder(), 'disk')
    await writeFile(file, '')
    await truncate(file, DISK_BYTES)
    const path = await loopDevice(file)
    return { file, ...(await rescue({ serial: file, bytes: DISK_BYTES, sectorBytes: 512, path })) }
  }

  it('what the guard takes the place of is saved before it, and not what a guard is', async () => {
    const { acts, seen, store } = await withDisk()
    await acts.guard(true)
    expect(seen).toEqual(['check', `guard ${STORE.guardBackup} ${STORE.intent}`])
    const path = join(store, STORE.guardBackup)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(SAVED)
    await writeFile(path, 'the first')
    await acts.guard(true)
    await acts.guard(false)
    expect(await readFile(path, 'utf8')).toBe('the first')
  })

  it('a target that does not become what boots is not confirmed', async () => {
    const { acts, seen, has } = await withDisk()
    await acts.guard(true)
    await expect(acts.confirm()).rejects.toThrow('the firmware is locked')
    expect(seen.at(-1)).toBe(`confirm ${STORE.confirmed}`)
    expect(await has(STORE.confirmed)).toBe(false)
  })

  it.each([STORE.image, STORE.sessionKey])('nothing is wiped without %s', async (name) => {
    const { acts, file, store, has } = await withDisk()
    await using disk = await open(file, 'r+')
    await disk.write('first OS', 4_096)
    await acts.guard(true)
    await rm(join(store, name))
    await expect(acts.wipe()).rejects.toMatchObject({ code: 'io' })
    expect(await has(STORE.wiping)).toBe(false)
    expect((await readFile(file)).includes('first OS')).toBe(true)
  })

  it('nothing is wiped without the guard, nor before it is written down', async () => {
    const { acts, file, store, has } = await withDisk()
    await using disk = await open(file, 'r+')
    await disk.write('first OS', 4_096)
    await expect(acts.wipe()).rejects.toThrow('the guard is not in place')
    expect(await has(STORE.wiping)).toBe(false)
    await acts.guard(true)
    for (const name of [STORE.granted, STORE.confirmed]) await writeFile(join(store, name), '1')
    // udevadm comes last, and is not on every machine that tests.
    const isMissing = { code: 'missing-tool', data: { program: 'udevadm' } }
    await acts.wipe().catch((error: unknown) => expect(error).toMatchObject(isMissing))
    expect(await has(STORE.wiping)).toBe(true)
    expect([await has(STORE.granted), await has(STORE.confirmed)]).toEqual([false, false])
    expect((await readFile(file)).includes('first OS')).toBe(false)
  })
})
