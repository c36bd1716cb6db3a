/**
 * The plan of a replacement: a value, made before anything is touched.
 *
 * 1. Preflight makes it, the operator reads it, staging pins it: its SHA-256 is in the journal.
 * 2. The rescue obeys it and asks nothing else; it is the same for the same host and images, so
 *    it holds no times of day, no free space, nothing that an undone run would change.
 * 3. Disks are named by what they are, never by sda or vdb: `path` is only where they were seen.
 *
 * Pure. Refusals are made by preflight.ts.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod/mini'

const count = z.int().check(z.minimum(0), z.maximum(Number.MAX_SAFE_INTEGER))
const text = z.string().check(z.maxLength(4_096))
const digest = z.string().check(z.regex(/^[0-9a-f]{64}$/))
const seconds = count

/** By what a disk is known again; at least a serial number or a WWN. */
export const diskIdentitySchema = z.strictObject({
  serial: z.optional(text),
  wwn: z.optional(text),
  bytes: count,
  sectorBytes: count,
  /** GPT disk GUID or MBR disk identifier before anything was written; absent on a blank disk. */
  tableId: z.optional(text),
  model: z.optional(text),
  /** Where the kernel had it when the plan was made; for people. */
  path: text,
})

/** Something on a disk that will be gone. */
export const victimSchema = z.strictObject({
  path: text,
  bytes: count,
  /** What blkid finds, such as `ext4`, `LVM2_member`. */
  content: z.optional(text),
  label: z.optional(text),
  mountPoint: z.optional(text),
})

/** How a system on its disk is started: from the signed manifest. */
const startSchema = z.strictObject({
  /** UUID of the file system of its root. */
  rootUuid: text,
  /** Absolute paths in the root. */
  kernel: text,
  initrd: z.optional(text),
  commandLine: text,
  /** Its EFI system partition. */
  esp: z.optional(z.strictObject({ number: count, guid: text, firstLba: count, sectors: count })),
})
export type StartFacts = z.infer<typeof startSchema>

const imageFactsSchema = z.strictObject({
  /** Path as the operator gave it, or address without its query. */
  location: text,
  name: text,
  title: z.optional(text),
  sequence: count,
  bytes: count,
  /** Data to be written, without holes. */
  dataBytes: count,
  manifestSha256: digest,
  /** Fingerprints of those who signed. */
  signers: z.array(text),
  /** Renderer of the carry. */
  network: z.optional(text),
  start: startSchema,
  firmware: z.array(z.enum(['bios', 'uefi'])),
})

const waitSchema = z.strictObject({
  how: z.enum(['auto', 'ssh', 'none']),
  withinSeconds: seconds,
})

export const flashPlanSchema = z.strictObject({
  format: z.literal('osflash-plan/1'),
  host: z.strictObject({
    hostname: text,
    os: text,
    firmware: z.enum(['bios', 'uefi']),
    architecture: z.literal('x86_64'),
    kernelModules: z.array(text),
  }),
  disk: diskIdentitySchema,
  stage: diskIdentitySchema,
  victims: z.array(victimSchema),
  rescue: imageFactsSchema,
  target: imageFactsSchema,
  /** Where the store begins on the stage, and its length, in bytes. */
  store: z.strictObject({ offset: count, bytes: count }),
  arm: z.discriminatedUnion('kind', [
    /** custom.cfg and next_entry of the first OS's GRUB. */
    z.strictObject({ kind: z.literal('grub'), folder: text }),
    /** A boot entry and BootNext. */
    z.strictObject({ kind: z.literal('boot-next') }),
  ]),
  /** `none` is not used here. */
  go: waitSchema,
  confirm: waitSchema,
  carry: z.strictObject({
    hostname: text,
    interfaces: z.array(
      z.strictObject({ name: text, mac: text, addresses: z.array(text), dhcp: z.array(text) }),
    ),
    gateways: z.array(text),
    hostKeys: z.array(text),
    rootKeys: count,
    hasRootPassword: z.boolean(),
  }),
  watchdog: z.optional(text),
  /** In memory the address of `--notify`; in plan.json, and once erased, its host alone. */
  notify: z.optional(text),
  steps: z.array(z.strictObject({ what: text, seconds })),
  /** How long the host does not answer as itself. */
  awaySeconds: seconds,
  risks: z.array(text),
})

export type FlashPlan = z.infer<typeof flashPlanSchema>
export type DiskIdentity = z.infer<typeof diskIdentitySchema>
export type ImageFacts = z.infer<typeof imageFactsSchema>
export type Victim = z.infer<typeof victimSchema>

/** The bytes of plan.json; of `--notify` they name the host alone: the rest may be a token. */
export function planBytes(plan: FlashPlan): Buffer {
  const { notify } = plan
  const shown = notify === undefined ? plan : { ...plan, notify: shownNotify(notify) }
  return Buffer.from(`${JSON.stringify(shown)}\n`)
}

/** The same again for what it gave. */
export const shownNotify = (address: string): string => `${URL.parse(address)?.origin ?? ''}/…`

/** SHA-256 of plan.json, lower-case hex. */
export const planDigest = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** A UUID (version 8, RFC 9562) that is the same for the same plan. */
export function uuidFrom(digest: string, what: string): string {
  const hash = createHash('sha256').update(`${what} ${digest}`).digest()
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
  const hex = hash.toString('hex')
  const cut = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return [...cut, hex.slice(20, 32)].join('-')
}
