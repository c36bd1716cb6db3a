/**
 * The settings of a replacement: command line first, then /etc/osflash/apply.yaml.
 *
 * 1. The file has the names of the options, in kebab-case; one word stands for a list of one.
 *    Unknown names are refused with the nearest one that is known.
 * 2. Paths in it start from its folder. The default file may be missing; a named one may not.
 * 3. It decides which disk is erased and whom to believe: nobody but its owner may write to it.
 * 4. Then certificates and secret keys are read, and the passphrase is asked for.
 */
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Document } from 'yaml'
import * as z from 'zod/mini'
import { isAddress } from '../deliver/open.ts'
import { verifyDetached } from '../encrypt/signature.ts'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import type { PlanInput } from '../flash/plan/preflight.ts'
import { nearestWord } from '../pack/recipe/nearest.ts'
import type { CheckSignatures } from '../unpack/image.ts'
import { certificatesOf, identitiesOf } from './key-files.ts'
import type { VerbContext } from './verb.ts'

/** As they are given; each may be absent. */
export interface FlashOptions {
  readonly rescue?: string
  readonly target?: string
  readonly disk?: string
  readonly stage?: string
  readonly trust?: readonly string[]
  readonly threshold?: number
  readonly identity?: readonly string[]
  readonly passphraseFile?: string
  readonly go?: 'auto' | 'ssh'
  readonly goWithin?: number
  readonly confirm?: 'auto' | 'ssh' | 'none'
  readonly confirmWithin?: number
  readonly wipeData?: boolean
  readonly acceptNoWatchdog?: boolean
  readonly notify?: string
  readonly config?: string
}

/** What the options and the settings file say together. */
export interface FlashRequest {
  readonly input: PlanInput
  /** Paths of the certificates of `--trust`. */
  readonly trust: readonly string[]
}

const GO_WITHIN_SECONDS = 900
const CONFIRM_WITHIN_SECONDS = 600

const text = z.string().check(z.minLength(1))
const texts = z.union([
  z.array(text).check(z.minLength(1)),
  z.pipe(
    text,
    z.transform((one) => [one]),
  ),
])
const within = z.int().check(z.minimum(10), z.maximum(86_400))

const shape = {
  rescue: z.optional(text),
  target: z.optional(text),
  disk: z.optional(text),
  stage: z.optional(text),
  trust: z.optional(texts),
  threshold: z.optional(z.int().check(z.minimum(1), z.maximum(16))),
  identity: z.optional(texts),
  'passphrase-file': z.optional(text),
  go: z.optional(z.enum(['auto', 'ssh'])),
  'go-within': z.optional(within),
  confirm: z.optional(z.enum(['auto', 'ssh', 'none'])),
  'confirm-within': z.optional(within),
  'wipe-data': z.optional(z.boolean()),
  'accept-no-watchdog': z.optional(z.boolean()),
  notify: z.optional(text),
}
const fileSchema = z.strictObject(shape)
type SettingsFile = z.infer<typeof fileSchema>

/**
 * What both say together; the command line wins.
 * @param path of the settings file
 * @throws OsflashError `usage`, `refused`, `io`
 */
export async function readSettings(options: FlashOptions, path: string): Promise<FlashOptions> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT' && options.config === undefined) return undefined
    throw ioError(`reading ${path}`, cause)
  })
  if (bytes === undefined) return options
  await checkWriters(path)
  const file = await parseFile(bytes.toString('utf8'), path)
  return { ...fromFile(file, dirname(resolve(path))), ...options }
}

async function checkWriters(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o022) === 0) return
  throw new OsflashError('refused', `reading ${path}: others than its owner may write to it`, {
    hints: [`chmod go-w ${path}`],
  })
}

async function parseFile(source: string, path: string): Promise<SettingsFile> {
  const { parseDocument } = await import('yaml')
  const document = parseDocument(source, { uniqueKeys: true })
  const [error] = document.errors
  if (error !== undefined) {
    throw usage(`reading ${path}: ${error.message.split('\n')[0] ?? 'no YAML'}`)
  }
  // An empty file is an empty object.
  const parsed = fileSchema.safeParse(plainObject(document, path) ?? {})
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  if (unknown === undefined) {
    const place = issue?.path.join('.') || 'all of it'
    throw usage(`reading ${path}: ${place}: ${issue?.message.toLowerCase() ?? 'not a setting'}`)
  }
  const near = nearestWord(unknown, Object.keys(shape))
  throw usage(
    `reading ${path}: unknown setting ${unknown}`,
    ...(near === undefined ? [] : [`did you mean ${near}?`]),
  )
}

/** Few lines need no shorthand, and a small file of aliases may stand for a very large one. */
function plainObject(document: Document.Parsed, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (cause) {
    if (!(cause instanceof ReferenceError)) throw cause
    throw usage(`reading ${path}: aliases (*name) are not taken`)
  }
}

function usage(message: string, ...hints: string[]): OsflashError {
  return new OsflashError('usage', message, { hints: [...hints, 'osflash plan --help'] })
}

function fromFile(file: SettingsFile, folder: string): FlashOptions {
  const inFolder = (path: string): string => resolve(folder, path)
  const image = (place: string): string => (isAddress(place) ? place : inFolder(place))
  return withoutAbsent({
    rescue: file.rescue && image(file.rescue),
    target: file.target && image(file.target),
    disk: file.disk,
    stage: file.stage,
    trust: file.trust?.map(inFolder),
    threshold: file.threshold,
    identity: file.identity?.map(inFolder),
    passphraseFile: file['passphrase-file'] && inFolder(file['passphrase-file']),
    go: file.go,
    goWithin: file['go-within'],
    confirm: file.confirm,
    confirmWithin: file['confirm-within'],
    wipeData: file['wipe-data'],
    acceptNoWatchdog: file['accept-no-watchdog'],
    notify: file.notify,
  })
}

type Absent<Fields> = { readonly [Key in keyof Fields]: Fields[Key] | undefined }

/** So that spreading it over others takes nothing away. */
function withoutAbsent<Fields extends object>(fields: Absent<Fields>): Partial<Fields> {
  const kept: Partial<Fields> = {}
  for (const key in fields) {
    const value = fields[key]
    if (value !== undefined) kept[key] = value
  }
  return kept
}

/**
 * Fills the defaults, reads the keys.
 * @throws OsflashError `usage` naming the option that is missing; `io`, `trust`, `decryption`
 */
export async function requestOf(
  settings: FlashOptions,
  { emit, signal }: VerbContext,
): Promise<FlashRequest> {
  const needed = (name: 'rescue' | 'target' | 'disk' | 'stage'): string => {
    const value = settings[name]
    if (value !== undefined) return value
    throw usage(`no --${name} given`, `--${name} ${EXAMPLES[name]}`)
  }
  const places = {
    rescue: needed('rescue'),
    target: needed('target'),
    disk: needed('disk'),
    stage: needed('stage'),
  }
  const { notify, trust } = settings
  if (notify !== undefined) checkNotify(notify)
  if (trust === undefined) throw usage('no --trust given', '--trust signer.pub')
  const input = {
    ...places,
    check: await checkOf(trust, settings.threshold ?? 1),
    identities: await identitiesOf(settings, signal),
    go: { how: settings.go ?? 'auto', withinSeconds: settings.goWithin ?? GO_WITHIN_SECONDS },
    confirm: {
      how: settings.confirm ?? 'auto',
      withinSeconds: settings.confirmWithin ?? CONFIRM_WITHIN_SECONDS,
    },
    wipeData: settings.wipeData ?? false,
    acceptNoWatchdog: settings.acceptNoWatchdog ?? false,
    ...(notify === undefined ? {} : { notify }),
    emit,
    signal,
  }
  return { input, trust }
}

const EXAMPLES = {
  rescue: 'rescue.osimg',
  target: 'debian-13.osimg',
  disk: 'SERIAL; lsblk -o NAME,SERIAL,WWN,SIZE shows them',
  stage: 'SERIAL; lsblk -o NAME,SERIAL,WWN,SIZE shows them',
} as const

function checkNotify(address: string): void {
  const url = URL.parse(address)
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw usage('reading --notify: not an http or https address')
  }
  if (url.username === '' && url.password === '') return
  throw usage(
    'reading --notify: a name or a password in the address',
    'put a token into its path or query',
  )
}

/** As every verb does, and no signature may be from the future when a replacement starts. */
async function checkOf(trust: readonly string[], threshold: number): Promise<CheckSignatures> {
  const trusted = await certificatesOf(trust)
  return async (bytes, signatures) => {
    const now = new Date()
    const { signers } = await verifyDetached({ bytes, signatures, trusted, threshold, now })
    return signers
  }
}
