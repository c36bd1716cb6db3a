/**
 * The recipe: what one image is made of (docs/recipes.md).
 *
 * 1. One schema gives the readonly type, the defaults, the checks and the published JSON Schema.
 * 2. Unknown keys are refused everywhere; load.ts names the nearest known one.
 * 3. Rules between fields (one source, one growing partition, …) are in rules.ts.
 *
 * Not promised: that packages, files and tools exist; the build finds out.
 */
import { z } from 'zod'
import { SIZE_PATTERN } from './size.ts'

const line = z.string().regex(/^[^\0\n]*$/, 'must be one line')
const absolutePath = z
  .string()
  .max(4_096)
  .regex(/^(?!.*\/\.\.(\/|$))\/[^\0\n]*$/, 'must be an absolute path without ..')
const hostPath = z.string().min(1).max(4_096)
const mode = z.string().regex(/^[0-7]{3,4}$/, 'must be an octal mode such as 0644')
const accountName = z
  .string()
  .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'must be a short lower-case account name')
const authorizedKeys = z
  .array(line.min(1))
  .describe('Public keys, as lines of an authorized_keys file')
const unit = z.string().regex(/^[A-Za-z0-9:_.@\\-]+$/, 'must be the name of a systemd unit')
const size = z.string().regex(SIZE_PATTERN, 'must be a size such as 512MiB')

const os = z.strictObject({
  family: z.enum(['linux', 'windows', 'other']).default('linux'),
  id: line.optional().describe('As ID in /etc/os-release'),
  version: line.optional().describe('As VERSION_ID in /etc/os-release'),
  title: line.optional().describe('For people'),
  network: z
    .enum(['networkd', 'ifupdown', 'netplan', 'networkmanager', 'windows'])
    .optional()
    .describe('Where a replacement writes the network settings that it carries over'),
})

const debian = z.strictObject({
  suite: z.string().regex(/^[a-z][a-z0-9./-]*$/),
  variant: z
    .enum(['extract', 'custom', 'essential', 'apt', 'minbase', 'buildd', 'important', 'standard'])
    .default('minbase'),
  packages: z.array(z.string().regex(/^[a-z0-9?~][^\s,]*$/)).default([]),
  components: z
    .array(z.string().regex(/^[a-z][a-z0-9./-]*$/))
    .min(1)
    .default(['main']),
  mirror: z
    .union([line.min(1), z.array(line.min(1)).min(1)])
    .optional()
    .describe('Mirror addresses or sources.list lines; without it, what mmdebstrap chooses'),
  keyring: hostPath.optional().describe('Keyring file or folder that the mirror is checked with'),
})

const source = z
  .strictObject({
    debian: debian.optional().describe('Packages, installed by mmdebstrap'),
    directory: hostPath.optional().describe('A folder that holds a root file system'),
    tar: hostPath.optional().describe('A tarball of a root file system: plain, gz, xz or zst'),
    disk: hostPath.optional().describe('A disk image: raw, qcow2, vhdx or vmdk; taken as it is'),
  })
  .describe('Where the root file system comes from: exactly one of these')

const file = z.strictObject({
  path: absolutePath,
  content: z.string().optional(),
  source: hostPath.optional().describe('A file whose bytes are taken'),
  mode: mode.default('0644'),
  owner: z
    .string()
    .regex(/^[a-z0-9_][a-z0-9_-]*(:[a-z0-9_][a-z0-9_-]*)?$/, 'must be USER or USER:GROUP')
    .default('root:root'),
})

const archive = z.strictObject({
  source: hostPath.describe('A tarball: plain, gz, xz or zst'),
  into: absolutePath.describe('The folder that it is unpacked to; made if it is missing'),
  strip: z
    .number()
    .int()
    .min(0)
    .max(16)
    .default(0)
    .describe('How many leading folders its names lose'),
})

const user = z.strictObject({
  name: accountName,
  uid: z.number().int().min(0).max(4_294_967_293).optional().describe('Default: the next free one'),
  'password-hash': line
    .regex(/^[^:]*$/)
    .default('*')
    .describe('As crypt(5) makes it; * means that no password works'),
  'authorized-keys': authorizedKeys.default([]),
  groups: z.array(accountName).default([]).describe('Further groups; they must exist'),
  shell: absolutePath.default('/bin/bash'),
  home: absolutePath.optional().describe('Default: /home/NAME, /root for root'),
})

const customise = z.strictObject({
  hostname: z
    .string()
    .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/, 'must be a host name')
    .optional(),
  'kernel-command-line': line.default('').describe('Added after root= and ro'),
  archives: z.array(archive).default([]).describe('Unpacked before files are added'),
  files: z.array(file).default([]),
  users: z.array(user).default([]),
  services: z
    .strictObject({ enable: z.array(unit).default([]), disable: z.array(unit).default([]) })
    .prefault({}),
  scripts: z
    .array(z.strictObject({ content: z.string().optional(), source: hostPath.optional() }))
    .default([])
    .describe('Run in the new root, in order, after everything else'),
})

const partition = z.strictObject({
  role: z.enum(['bios-boot', 'esp', 'root', 'swap', 'other']),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,35}$/)
    .optional()
    .describe('Name of the partition and its payload; default: the role'),
  size: z
    .union([z.literal('fit'), size])
    .optional()
    .describe('Default: bios-boot 1MiB, esp 64MiB, others fit'),
  grow: z.boolean().default(false).describe('Takes what a larger disk leaves; only the last one'),
  'file-system': z
    .enum(['ext4', 'xfs', 'btrfs', 'vfat', 'swap'])
    .optional()
    .describe('Default: ext4; esp is vfat, swap is swap'),
  label: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,16}$/)
    .optional(),
  mount: absolutePath.optional().describe('Default: root /, esp /boot/efi, others not mounted'),
  'mount-options': line.regex(/^\S+$/).optional(),
})

const disk = z.strictObject({
  table: z.enum(['gpt', 'mbr']).default('gpt'),
  'sector-size': z.union([z.literal(512), z.literal(4_096)]).default(512),
  size: size.optional().describe('Smallest disk; default: what the partitions need'),
  partitions: z
    .array(partition)
    .min(1)
    .max(128)
    .default([
      { role: 'bios-boot', grow: false },
      { role: 'esp', grow: false },
      { role: 'root', grow: true },
    ]),
})

/** The schema of a recipe after `extends` and `--set`. */
export const recipeSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'must be a short lower-case name')
      .describe('Name of the image'),
    sequence: z
      .number()
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER)
      .default(0)
      .describe('Grows with each release; hosts refuse to go back'),
    expires: z.iso.datetime().optional().describe('No replacement starts after this (UTC)'),
    os: os.prefault({}),
    architecture: z.enum(['x86_64']).default('x86_64'),
    firmware: z
      .array(z.enum(['bios', 'uefi']))
      .max(2)
      .default(['bios', 'uefi']),
    source,
    access: z
      .strictObject({ 'root-authorized-keys': authorizedKeys.default([]) })
      .prefault({})
      .describe('Who may log in as root over SSH'),
    customise: customise.prefault({}),
    disk: disk.prefault({}),
  })
  .describe('Recipe of an osflash image')

type DeepReadonly<T> = T extends (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T

/** A checked recipe; every path that names something on this machine is absolute. */
export type Recipe = DeepReadonly<z.infer<typeof recipeSchema>>
export type RecipePartition = Recipe['disk']['partitions'][number]
export type RecipeUser = Recipe['customise']['users'][number]
export type RecipeFile = Recipe['customise']['files'][number]
export type RecipeArchive = Recipe['customise']['archives'][number]
export type DebianSource = NonNullable<Recipe['source']['debian']>

/** The JSON Schema (draft 2020-12) of a recipe file, for editors. */
export function recipeJsonSchema(): Record<string, unknown> {
  const { $schema, properties, required, ...rest } = z.toJSONSchema(recipeSchema, { io: 'input' })
  const base = { type: 'string', description: 'Base recipe, relative to this file' }
  // With `extends:`, what is required may come from the base.
  return {
    $schema,
    title: 'osflash recipe',
    ...rest,
    properties: { extends: base, ...properties },
    anyOf: [{ required: ['extends'] }, { required: required ?? [] }],
  }
}
