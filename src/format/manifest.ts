/**
 * The manifest: the signed JSON that describes an image wholly (docs/format.md, "manifest.json").
 *
 * 1. One schema gives the types, the checks and the published JSON Schema.
 * 2. Unknown keys are refused everywhere.
 * 3. manifest-bytes.ts turns bytes into this, manifest-rules.ts checks field against field.
 *
 * zod/mini is zod without its chains of methods: it loads in a quarter of the time, and every
 * unpacking waits for it.
 *
 * Not promised: that the members exist; the reader compares them with what is written here.
 */
import * as z from 'zod/mini'
import { LIMITS } from './limits.ts'

const text = z.string().check(z.maxLength(LIMITS.manifestStringBytes))
const integer = (min: number, max: number) => z.int().check(z.minimum(min), z.maximum(max))
const count = integer(0, Number.MAX_SAFE_INTEGER)
const name = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be a short lower-case name'))
const guid = z
  .string()
  .check(z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be a GUID'))
const digest = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'must be 32 bytes in lower-case hex'))
const instant = z.iso.datetime()
const base64 = z
  .string()
  .check(z.regex(/^[A-Za-z0-9+/]*={0,2}$/, 'must be base64'), z.maxLength(4_096))

const fileSystem = z.strictObject({
  kind: z.enum(['ext4', 'xfs', 'btrfs', 'vfat', 'swap', 'bios-boot', 'raw']),
  uuid: z.optional(text),
  label: z.optional(text),
})

const partition = z.strictObject({
  number: integer(1, LIMITS.partitions),
  name: z.string().check(z.maxLength(36)),
  /** GPT: type GUID. MBR: the type byte as two hex digits. */
  type: z.union([guid, z.string().check(z.regex(/^[0-9a-f]{2}$/))]),
  /** GPT: the PARTUUID. MBR: derived from the disk identifier and the number, so absent. */
  guid: z.optional(guid),
  firstLba: count,
  sectors: count,
  /** GPT attribute bits 0 to 63, as hex; MBR: `80` is the active flag. */
  attributes: z.optional(z.string().check(z.regex(/^[0-9a-f]{1,16}$/))),
  /** Takes the room that a larger disk leaves; at most one partition, the last one. */
  grow: z.boolean(),
  fileSystem: z.optional(fileSystem),
})

const table = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('gpt'), guid, bootCode: z.optional(base64) }),
  z.strictObject({
    kind: z.literal('mbr'),
    diskId: z.string().check(z.regex(/^[0-9a-f]{8}$/)),
    bootCode: z.optional(base64),
  }),
  /** The payload holds the whole disk, table included. */
  z.strictObject({ kind: z.literal('none') }),
])

const disk = z.strictObject({
  sectorBytes: z.union([z.literal(512), z.literal(4_096)]),
  minimumBytes: count,
  table,
  partitions: z.array(partition).check(z.maxLength(LIMITS.partitions)),
})

const place = z.discriminatedUnion('kind', [
  /** A run of bytes of the disk. */
  z.strictObject({ kind: z.literal('region'), offsetBytes: count }),
  /** A tar of one file tree. */
  z.strictObject({ kind: z.literal('tree'), entries: count }),
])

const segment = z.strictObject({
  bytes: count,
  /** The literal data packet: its header of 12 bytes, and the frames. */
  plainBytes: integer(0, LIMITS.segmentPlainBytes),
  sha256: digest,
})

const index = z.strictObject({
  bytes: count,
  sha256: digest,
  /** BLAKE3 of the content part: the same for the same plaintext. */
  contentBytes: count,
  contentDigest: digest,
  /** BLAKE3 of the block part: differs with every sealing. */
  blocksDigest: digest,
})

const payload = z.strictObject({
  name,
  place,
  rawBytes: count,
  codec: z.enum(['zstd', 'xz']),
  index,
  segments: z.array(segment).check(z.maxLength(LIMITS.segments)),
})

const operatingSystem = z.strictObject({
  family: z.enum(['linux', 'windows', 'other']),
  id: z.optional(text),
  version: z.optional(text),
  title: z.optional(text),
  /** Where network and security state go when a replacement carries them over. */
  network: z.optional(z.enum(['networkd', 'ifupdown', 'netplan', 'networkmanager', 'windows'])),
})

const boot = z.strictObject({
  rootPartition: integer(1, LIMITS.partitions),
  kernel: text,
  initrd: z.optional(text),
  commandLine: text,
})

/** The schema of `manifest.json`, format version 1. */
export const manifestSchema = z.strictObject({
  format: z.literal('osflash-image/1'),
  name,
  sequence: count,
  created: instant,
  expires: z.optional(instant),
  os: operatingSystem,
  architecture: z.enum(['x86_64', 'aarch64']),
  firmware: z.array(z.enum(['bios', 'uefi'])).check(z.maxLength(2)),
  boot: z.optional(boot),
  disk: z.optional(disk),
  encryption: z.strictObject({
    cipher: z.literal('aes256'),
    aead: z.enum(['ocb', 'gcm']),
    chunkOctet: integer(LIMITS.chunkOctetMin, LIMITS.chunkOctetMax),
  }),
  payloads: z.array(payload).check(z.minLength(1), z.maxLength(LIMITS.payloads)),
})

export type Manifest = z.infer<typeof manifestSchema>
export type DiskLayout = z.infer<typeof disk>
export type Partition = z.infer<typeof partition>
export type PartitionTable = z.infer<typeof table>
export type PayloadPlace = z.infer<typeof place>
export type PayloadEntry = z.infer<typeof payload>
export type OperatingSystem = z.infer<typeof operatingSystem>
export type BootEntry = z.infer<typeof boot>
export type Aead = Manifest['encryption']['aead']
export type CodecName = PayloadEntry['codec']
