/**
 * The manifest: the signed JSON that describes an image wholly (docs/format.md, "manifest.json").
 *
 * 1. One schema gives the types, the checks and the published JSON Schema.
 * 2. Unknown keys are refused everywhere.
 * 3. manifest-bytes.ts turns bytes into this, manifest-rules.ts checks field against field.
 *
 * Not promised: that the members exist; the reader compares them with what is written here.
 */
import { z } from 'zod'
import { LIMITS } from './limits.ts'

const text = z.string().max(LIMITS.manifestStringBytes)
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be a short lower-case name')
const guid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be a GUID')
const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be 32 bytes in lower-case hex')
const instant = z.iso.datetime()
const base64 = z
  .string()
  .regex(/^[A-Za-z0-9+/]*={0,2}$/, 'must be base64')
  .max(4_096)

const fileSystem = z.strictObject({
  kind: z.enum(['ext4', 'xfs', 'btrfs', 'vfat', 'swap', 'bios-boot', 'raw']),
  uuid: text.optional(),
  label: text.optional(),
})

const partition = z.strictObject({
  number: z.number().int().min(1).max(LIMITS.partitions),
  name: z.string().max(36),
  /** GPT: type GUID. MBR: the type byte as two hex digits. */
  type: z.union([guid, z.string().regex(/^[0-9a-f]{2}$/)]),
  /** GPT: the PARTUUID. MBR: derived from the disk identifier and the number, so absent. */
  guid: guid.optional(),
  firstLba: count,
  sectors: count,
  /** GPT attribute bits 0 to 63, as hex; MBR: `80` is the active flag. */
  attributes: z
    .string()
    .regex(/^[0-9a-f]{1,16}$/)
    .optional(),
  /** Takes the room that a larger disk leaves; at most one partition, the last one. */
  grow: z.boolean(),
  fileSystem: fileSystem.optional(),
})

const table = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('gpt'), guid, bootCode: base64.optional() }),
  z.strictObject({
    kind: z.literal('mbr'),
    diskId: z.string().regex(/^[0-9a-f]{8}$/),
    bootCode: base64.optional(),
  }),
  /** The payload holds the whole disk, table included. */
  z.strictObject({ kind: z.literal('none') }),
])

const disk = z.strictObject({
  sectorBytes: z.union([z.literal(512), z.literal(4_096)]),
  minimumBytes: count,
  table,
  partitions: z.array(partition).max(LIMITS.partitions),
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
  plainBytes: z.number().int().min(0).max(LIMITS.segmentPlainBytes),
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
  segments: z.array(segment).max(LIMITS.segments),
})

const operatingSystem = z.strictObject({
  family: z.enum(['linux', 'windows', 'other']),
  id: text.optional(),
  version: text.optional(),
  title: text.optional(),
  /** Where network and security state go when a replacement carries them over. */
  network: z.enum(['networkd', 'ifupdown', 'netplan', 'networkmanager', 'windows']).optional(),
})

const boot = z.strictObject({
  rootPartition: z.number().int().min(1).max(LIMITS.partitions),
  kernel: text,
  initrd: text.optional(),
  commandLine: text,
})

/** The schema of `manifest.json`, format version 1. */
export const manifestSchema = z.strictObject({
  format: z.literal('osflash-image/1'),
  name,
  sequence: count,
  created: instant,
  expires: instant.optional(),
  os: operatingSystem,
  architecture: z.enum(['x86_64', 'aarch64']),
  firmware: z.array(z.enum(['bios', 'uefi'])).max(2),
  boot: boot.optional(),
  disk: disk.optional(),
  encryption: z.strictObject({
    cipher: z.literal('aes256'),
    aead: z.enum(['ocb', 'gcm']),
    chunkOctet: z.number().int().min(LIMITS.chunkOctetMin).max(LIMITS.chunkOctetMax),
  }),
  payloads: z.array(payload).min(1).max(LIMITS.payloads),
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
