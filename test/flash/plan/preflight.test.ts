/** Preflight with real images, as far as it goes before this machine's own disks matter. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlanImage } from '../../../src/flash/plan/plan-image.ts'
import { makePlan, type PlanInput } from '../../../src/flash/plan/preflight.ts'
import type { Manifest } from '../../../src/format/manifest.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { serve } from '../../deliver/hostile-server.ts'
import { makeFolder, makeKeys, makeOptions, type TestKeys } from '../../pack/image/fixtures.ts'
import { checkFor, gptLayout, makeDiskSource } from '../../unpack/disk-fixtures.ts'

let keys: TestKeys
let strangers: TestKeys
let folder: Awaited<ReturnType<typeof makeFolder>>
let usual: { readonly rescue: string; readonly target: string }
let made = 0

beforeAll(async () => {
  folder = await makeFolder()
  keys = await makeKeys()
  strangers = await makeKeys()
  usual = { rescue: await image('rescue'), target: await image('target') }
})
afterAll(() => folder[Symbol.asyncDispose]())

interface Changes {
  readonly os?: Manifest['os']
  readonly expires?: string
  readonly sequence?: number
}

/** Boots from its last partition, by what the manifest says. */
async function image(name: string, changes: Changes = {}): Promise<string> {
  const layout = gptLayout()
  const partitions = layout.partitions.map((one) =>
    one.number === layout.partitions.length
      ? { ...one, fileSystem: { kind: 'ext4' as const, uuid: `uuid-of-${name}` } }
      : one,
  )
  const source = await makeDiskSource({ folder: folder.path, disk: { ...layout, partitions } })
  made += 1
  const path = join(folder.path, `${made}.osimg`)
  const wanted = {
    ...source,
    name,
    os: { family: 'linux' as const, network: 'networkd' as const },
    boot: { rootPartition: partitions.length, kernel: '/vmlinuz', commandLine: 'quiet' },
    ...changes,
  }
  await packImage(wanted, makeOptions(keys, path))
  return path
}

function input(changes: Partial<PlanInput>): PlanInput {
  return {
    ...usual,
    disk: 'NO-SUCH-DISK',
    stage: 'NO-SUCH-STAGE',
    check: checkFor(keys),
    identities: [keys.recipient],
    go: { how: 'auto', withinSeconds: 900 },
    confirm: { how: 'auto', withinSeconds: 600 },
    wipeData: false,
    acceptNoWatchdog: true,
    emit: () => undefined,
    ...changes,
  }
}

const outcome = async (changes: Partial<PlanInput>) =>
  makePlan(input(changes)).then(
    () => 'planned',
    (error: unknown) => error,
  )

describe('the images of a plan', () => {
  it('are described by what they hold', async () => {
    const location = await image('target', { sequence: 7 })
    const check = checkFor(keys)
    await using opened = await openPlanImage({ role: 'target', location, check })
    expect(opened.facts).toMatchObject({
      location,
      name: 'target',
      sequence: 7,
      bytes: opened.source.bytes,
      dataBytes: opened.dataBytes,
      network: 'networkd',
      start: { rootUuid: 'uuid-of-target', kernel: '/vmlinuz', commandLine: 'quiet' },
    })
    expect(opened.facts.manifestSha256).toMatch(/^[0-9a-f]{64}$/)
    expect(opened.facts.signers).toHaveLength(1)
    expect(opened.isRemote).toBe(false)
    expect(opened.dataBytes).toBeGreaterThan(0)
    expect(opened.zeroBytes).toBeGreaterThan(0)
  })

  it('say which of them is no image, and why', async () => {
    const location = join(folder.path, 'passwd')
    await writeFile(location, 'root:x:0:0:root:/root:/bin/sh\n'.repeat(40))
    const asked = openPlanImage({ role: 'target', location, check: checkFor(keys) })
    await expect(asked).rejects.toMatchObject({
      code: 'format',
      message: `checking the target ${location}: reading the member header at byte 0: not an image`,
    })
  })

  it('are named without the query of their address, which may be a token', async () => {
    const { target } = usual
    const server = await serve(() => undefined, { file: await readFile(target) })
    const described = async (token: string) => {
      const location = `${server.url}?token=${token}`
      await using opened = await openPlanImage({ role: 'target', location, check: checkFor(keys) })
      return opened
    }
    const opened = await described('s3cret')
    expect(opened).toMatchObject({ isRemote: true, facts: { location: `${server.url}?…` } })
    // A token that changes with each address makes no other plan.
    expect((await described('0ther')).facts).toEqual(opened.facts)
    expect(server.asked.some(({ path }) => path.includes('0ther'))).toBe(true)
  })

  it('are refused when they have expired', async () => {
    const target = await image('target', { expires: '2024-01-01T00:00:00Z' })
    expect(await outcome({ target })).toMatchObject({
      code: 'trust',
      message: 'checking target: it expired at 2024-01-01T00:00:00Z',
    })
  })

  it('are refused when nobody who is trusted signed them', async () => {
    expect(await outcome({ check: checkFor(strangers) })).toMatchObject({ code: 'signature' })
  })

  it('are refused when none of the keys opens them', async () => {
    const identities = [strangers.recipient]
    expect(await outcome({ identities })).toMatchObject({ code: 'decryption' })
  })

  it.each<[string, Manifest['os'], string]>([
    ['no network service', { family: 'linux' }, 'it does not name its network service'],
    ['one without renderer', { family: 'linux', network: 'windows' }, 'no way to windows'],
  ])('are refused with %s', async (_, os, words) => {
    const target = await image('target', { os })
    expect(await outcome({ target })).toMatchObject({
      code: 'refused',
      message: expect.stringContaining(words),
    })
  })

  it('come before the host; then this machine is refused, whatever it is', async () => {
    // A container, not root, or a host without such a disk.
    expect(await outcome({})).toMatchObject({ code: 'refused' })
    // Nothing was kept: the same answer again.
    expect(await outcome({})).toMatchObject({ code: 'refused' })
  })
})
