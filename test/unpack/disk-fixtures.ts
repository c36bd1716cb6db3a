/** Small disk images, packed from raw bytes by the real packer, and what a disk must hold then. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openFileSource } from '../../src/deliver/file.ts'
import { verifyDetached } from '../../src/encrypt/signature.ts'
import type { DiskLayout, Partition } from '../../src/format/manifest.ts'
import { packImage } from '../../src/pack/image/pack.ts'
import type { PackOptions } from '../../src/pack/image/settings.ts'
import type { ByteRange, ImageSource, PayloadSource } from '../../src/pack/source.ts'
import { KIB, MIB } from '../../src/units.ts'
import type { CheckSignatures } from '../../src/unpack/image.ts'
import { type UnpackOptions, type UnpackReport, unpackDisk } from '../../src/unpack/unpack-disk.ts'
import { makeOptions, noise, range, type TestKeys } from '../pack/image/fixtures.ts'

/** A payload at a place of the disk. */
export interface Region {
  readonly name: string
  readonly offset: number
  readonly raw: Uint8Array
  readonly unused?: readonly ByteRange[]
}

export const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const BIOS_BOOT = '21686148-6449-6e6f-744e-656564454649'

export function partition(number: number, firstLba: number, sectors: number): Partition {
  return {
    number,
    name: `part${number}`,
    type: LINUX,
    guid: `00000000-0000-4000-8000-00000000000${number}`,
    firstLba,
    sectors,
    grow: false,
  }
}

/** BIOS boot in front of the first MiB, a small partition, and one that grows. */
export function gptLayout(minimumBytes = 16 * MIB): DiskLayout {
  const sectors = minimumBytes / 512 - 33 - 8_192
  return {
    sectorBytes: 512,
    minimumBytes,
    table: {
      kind: 'gpt',
      guid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
      bootCode: Buffer.from('boot code').toString('base64'),
    },
    partitions: [
      { ...partition(1, 40, 2_008), type: BIOS_BOOT },
      partition(2, 2_048, 6_144),
      { ...partition(3, 8_192, sectors), grow: true },
    ],
  }
}

/** Data before the first MiB, data with zeros and unused cells, and a short end. */
export function regions(seed = 1): Region[] {
  const root = Buffer.concat([
    noise(5 * MIB, seed + 2),
    Buffer.alloc(2 * MIB),
    noise(300 * KIB + 512, seed + 3),
  ])
  return [
    { name: 'boot', offset: 40 * 512, raw: noise(31 * KIB, seed) },
    {
      name: 'efi',
      offset: MIB,
      raw: noise(MIB, seed + 1),
      unused: [range(512 * KIB, 512 * KIB)],
    },
    { name: 'root', offset: 4 * MIB, raw: root },
  ]
}

export interface DiskImage {
  readonly folder: string
  readonly regions?: readonly Region[]
  readonly disk?: DiskLayout
}

export async function makeDiskSource(from: DiskImage): Promise<ImageSource> {
  const payloads: PayloadSource[] = []
  for (const { name, offset, raw, unused = [] } of from.regions ?? regions()) {
    const path = join(from.folder, `${name}.raw`)
    await writeFile(path, raw)
    payloads.push({
      name,
      place: { kind: 'region', offsetBytes: offset },
      path,
      range: range(0, raw.length),
      unused,
    })
  }
  return {
    name: 'test-disk',
    sequence: 1,
    created: '2023-11-14T22:13:20Z',
    os: { family: 'linux' },
    architecture: 'x86_64',
    firmware: ['bios'],
    disk: from.disk ?? gptLayout(),
    payloads,
  }
}

/** Packs an image; gives its path. */
export async function packDisk(
  from: DiskImage,
  keys: TestKeys,
  options: Partial<PackOptions> = {},
): Promise<string> {
  const output = options.output ?? join(from.folder, 'a.osimg')
  await packImage(await makeDiskSource(from), { ...makeOptions(keys, output), ...options })
  return output
}

export function checkFor(keys: TestKeys): CheckSignatures {
  return async (bytes, signatures) => {
    const trusted = [keys.signerCert]
    return (await verifyDetached({ bytes, signatures, trusted })).signers
  }
}

export interface UnpackTest extends Partial<UnpackOptions> {
  readonly image: string
  readonly keys: TestKeys
  readonly to: string
}

export async function unpackTest(test: UnpackTest): Promise<UnpackReport> {
  const { image, keys, ...options } = test
  await using source = options.source ?? (await openFileSource(image))
  return await unpackDisk({
    check: checkFor(keys),
    identities: [keys.recipient],
    overwrite: false,
    resume: false,
    verify: false,
    checkpointPath: `${options.to}.checkpoint`,
    workers: 2,
    emit: () => undefined,
    ...options,
    source,
  })
}

/** What differs between a disk and the regions, apart from unused ranges; empty when nothing. */
export function differences(disk: Uint8Array, expected: readonly Region[] = regions()): string[] {
  return expected.flatMap(({ name, offset, raw, unused = [] }) => {
    const seen = Buffer.from(disk.subarray(offset, offset + raw.length))
    const wanted = Buffer.from(raw)
    for (const { offset: at, length } of unused) {
      seen.fill(0, at, at + length)
      wanted.fill(0, at, at + length)
    }
    return seen.equals(wanted) ? [] : [name]
  })
}
