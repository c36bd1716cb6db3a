/** Another target for a rescue that holds: images that are really packed, a store in a folder. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createJournal, openJournal } from '../../../src/flash/journal.ts'
import { STORE } from '../../../src/flash/places.ts'
import { type FlashPlan, planBytes, planDigest } from '../../../src/flash/plan/plan.ts'
import { replaceTarget } from '../../../src/flash/rescue/new-target.ts'
import type { State } from '../../../src/flash/states.ts'
import { readPlan } from '../../../src/flash/store.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import type { ImageSource } from '../../../src/pack/source.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { makeKeys, makeOptions, type TestKeys } from '../../pack/image/fixtures.ts'
import { checkFor, gptLayout, makeDiskSource } from '../../unpack/disk-fixtures.ts'
import { flashPlan } from '../flash-plan.ts'
import { isRoot, scratchFolder } from '../host-fixture.ts'

const ROOT_UUID = '12345678-0000-4000-8000-000000000001'

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

async function pack(folder: string, changes: Partial<ImageSource> = {}): Promise<string> {
  const { partitions, ...layout } = gptLayout()
  const fileSystem = { kind: 'ext4', uuid: ROOT_UUID } as const
  const disk = {
    ...layout,
    partitions: partitions.map((one) => (one.number === 3 ? { ...one, fileSystem } : one)),
  }
  const source: ImageSource = {
    ...(await makeDiskSource({ folder })),
    sequence: 4,
    os: { family: 'linux', network: 'networkd' },
    boot: { rootPartition: 3, kernel: '/vmlinuz', commandLine: 'ro' },
    disk,
    ...changes,
  }
  const output = join(folder, 'other.osimg')
  await packImage(source, makeOptions(keys, output))
  return output
}

interface Setting {
  readonly image?: Partial<ImageSource>
  readonly plan?: Partial<FlashPlan>
  readonly state?: State
  /** Of a store that is a file system of its own; needs root. */
  readonly storeBytes?: number
  readonly oldBytes?: number
}

async function mountSmall(at: string, bytes: number): Promise<void> {
  await run(['mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', at])
  onTestFinished(async () => {
    await run(['umount', at])
  })
}

async function held(setting: Setting = {}) {
  const { image = {}, plan: changes = {}, state = 'held', storeBytes, oldBytes = 0 } = setting
  const folder = await scratchFolder()
  const location = await pack(folder, image)
  const store = join(folder, 'store')
  await mkdir(store)
  if (storeBytes !== undefined) await mountSmall(store, storeBytes)
  const plan = flashPlan(changes)
  const texts = { [STORE.image]: 'the old image', [STORE.sessionKey]: 'the old key' }
  for (const [name, text] of Object.entries(texts)) await writeFile(join(store, name), text)
  await writeFile(join(store, `${STORE.image}.part`), Buffer.alloc(oldBytes))
  await writeFile(join(store, STORE.plan), planBytes(plan))
  const journal = await createJournal(store, {
    system: 'rescue',
    state,
    planDigest: planDigest(planBytes(plan)),
    attempts: { flash: 0, trial: 0 },
  })
  const replace = () =>
    replaceTarget({
      store,
      journal,
      location,
      check: checkFor(keys),
      identities: [keys.recipient],
      trust: [{ name: 'signer.pub', bytes: Buffer.from('a certificate') }],
      emit: () => undefined,
    })
  const isUntouched = async (): Promise<boolean> =>
    (await readFile(join(store, STORE.image), 'utf8')) === 'the old image' &&
    (await readFile(join(store, STORE.sessionKey), 'utf8')) === 'the old key'
  return { store, location, journal, replace, isUntouched }
}

const target = (changes: Partial<FlashPlan['target']>) => ({
  target: { ...flashPlan().target, ...changes },
})

describe('another target', () => {
  it.each(['held', 'trial'] as const)(
    'takes the place of the stored one, from %s',
    async (state) => {
      const { store, location, replace } = await held({ state })
      await replace()
      expect(await readFile(join(store, STORE.image))).toEqual(await readFile(location))
      const plan = await readPlan(store)
      expect(plan.target).toMatchObject({ name: 'test-disk', sequence: 4 })
      const { current } = await openJournal(store, { system: 'rescue' })
      const bytes = await readFile(join(store, STORE.plan))
      expect(current).toMatchObject({ state: 'held', planDigest: planDigest(bytes) })
      expect(await readFile(join(store, STORE.planCopy))).toEqual(bytes)
      expect(await readdir(store)).not.toContain(`${STORE.plan}.next`)
    },
  )

  it('takes the place of another one that a cut kept from its name', async () => {
    const { store, journal, replace } = await held()
    const next = planBytes(flashPlan(target({ name: 'second' })))
    await writeFile(join(store, `${STORE.plan}.next`), next)
    await journal.write({ state: 'held', planDigest: planDigest(next) })
    await replace()
    expect((await readPlan(store)).target.name).toBe('test-disk')
  })

  it('may be as old as the stored one, or of another name', async () => {
    await (await held({ plan: target({ name: 'test-disk', sequence: 4 }) })).replace()
    await (await held({ plan: target({ name: 'another', sequence: 9 }) })).replace()
  })

  it('may be the one before the stored one, which never proved itself', async () => {
    await (await held({ plan: target({ name: 'test-disk', sequence: 5 }) })).replace()
  })

  it('is not older than what the first OS took before', async () => {
    const one = await held()
    await writeFile(join(one.store, STORE.sequences), '{"test-disk":5}')
    await expect(one.replace()).rejects.toThrow('its sequence is 4, this host took 5 before')
    expect(await one.isUntouched()).toBe(true)
  })

  it('is refused where nobody can read what the first OS took', async () => {
    const one = await held()
    await mkdir(join(one.store, STORE.sequences))
    await expect(one.replace()).rejects.toMatchObject({ code: 'io' })
    expect(await one.isUntouched()).toBe(true)
  })

  it('is refused where that is no record', async () => {
    const one = await held()
    await writeFile(join(one.store, STORE.sequences), '{"test-disk":')
    await expect(one.replace()).rejects.toThrow('it is no record of image sequences')
    expect(await one.isUntouched()).toBe(true)
  })

  it('has not expired', async () => {
    const one = await held({ image: { expires: '2024-01-01T00:00:00Z' } })
    await expect(one.replace()).rejects.toMatchObject({
      code: 'trust',
      message: 'checking test-disk: it expired at 2024-01-01T00:00:00Z',
    })
    expect(await one.isUntouched()).toBe(true)
  })

  it.skipIf(!isRoot)('is refused before anything is removed where it has no room', async () => {
    const one = await held({ storeBytes: 4 * MIB, oldBytes: MIB })
    await expect(one.replace()).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(
        /^replacing the target with test-disk: it needs \S+ MiB, the store has room for \S+ MiB$/,
      ),
    })
    expect(await one.isUntouched()).toBe(true)
  })

  it.skipIf(!isRoot)('has the room of the stored one too', async () => {
    const { store, location, replace } = await held({ storeBytes: 12 * MIB, oldBytes: 8 * MIB })
    await replace()
    expect(await readFile(join(store, STORE.image))).toEqual(await readFile(location))
  })

  const rescueStart = { ...flashPlan().rescue.start, rootUuid: ROOT_UUID }
  it.each<[string, Setting]>([
    ['does not boot under uefi', { plan: { host: { ...flashPlan().host, firmware: 'uefi' } } }],
    ['cannot be configured', { image: { os: { family: 'linux', network: 'windows' } } }],
    [
      'identifiers of the rescue',
      { plan: { rescue: { ...flashPlan().rescue, start: rescueStart } } },
    ],
  ])('is refused when: %s', async (why, setting) => {
    const one = await held(setting)
    await expect(one.replace()).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(why),
    })
    expect(await one.isUntouched()).toBe(true)
  })

  it.each(['rehearsal', 'flashing', 'confirmed'] as const)('is refused in %s', async (state) => {
    const one = await held({ state })
    await expect(one.replace()).rejects.toThrow(`replacing the target in state ${state}`)
    expect(await one.isUntouched()).toBe(true)
  })
})
