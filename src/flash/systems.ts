/**
 * Which of the three systems runs now, and which store belongs to its replacement.
 *
 * 1. The rescue has its facts in /etc/osflash, written when it was staged.
 * 2. The first OS has run.json while a replacement is under way. It counts before the target's
 *    settings: a target becomes the first OS of the next replacement.
 * 3. The target has the agent's settings, shell variables that are parsed and never run.
 * 4. A system with none of them is a first OS without a replacement.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import { exists } from '../system/exists.ts'
import { FIRST_OS, RESCUE, TARGET } from './places.ts'
import { type DiskIdentity, diskIdentitySchema, type Victim, victimSchema } from './plan/plan.ts'
import type { SystemName } from './states.ts'

const uuid = z.string().check(z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))
const digest = z.string().check(z.regex(/^[0-9a-f]{64}$/))

/** `FIRST_OS.run`: written when staging begins, removed last when a run was aborted. */
const runFactsSchema = z.strictObject({
  storeUuid: uuid,
  /** SHA-256 of plan.json, lower-case hex. */
  planDigest: digest,
  stage: diskIdentitySchema,
  /** What the plan listed as erased, of which staging has erased some by now. */
  victims: z.optional(z.array(victimSchema)),
})
export type RunFacts = z.infer<typeof runFactsSchema>

/** `RESCUE.stageFacts`. */
const stageFactsSchema = z.strictObject({
  format: z.literal('osflash-stage/1'),
  storeUuid: uuid,
  /** UUID of the file system of the rescue's root. */
  rescueRootUuid: uuid,
  planDigest: digest,
})
export type StageFacts = z.infer<typeof stageFactsSchema>

const settingsSchema = z.looseObject({ STORE_UUID: uuid, PLAN_DIGEST: z.optional(digest) })

export interface FoundStore {
  readonly system: SystemName
  readonly storeUuid: string
  /** SHA-256 of plan.json, lower-case hex. */
  readonly planDigest?: string
  /** UUID of the file system of the rescue's root; only the rescue knows it. */
  readonly rescueRootUuid?: string
  /** The disk that it is on; only the first OS knows it. */
  readonly stage?: DiskIdentity
  /** What its plan erases; only the first OS knows it. */
  readonly victims?: readonly Victim[] | undefined
}

/** @param root of the system; other than `/` only in tests */
export async function currentSystem(root = '/'): Promise<SystemName> {
  if (await exists(join(root, RESCUE.stageFacts))) return 'rescue'
  if (await exists(join(root, FIRST_OS.run))) return 'first-os'
  return (await exists(join(root, TARGET.settings))) ? 'target' : 'first-os'
}

/**
 * The store of the replacement that this system is part of; `undefined` when there is none.
 * @throws OsflashError `format` when what says so cannot be read as that; `io`
 */
export async function findStore(root = '/'): Promise<FoundStore | undefined> {
  const system = await currentSystem(root)
  if (system === 'target') {
    const path = join(root, TARGET.settings)
    const text = await readFile(path, 'utf8')
    const { STORE_UUID: storeUuid, PLAN_DIGEST: planDigest } = parsed(path, () =>
      settingsSchema.parse(parseSettings(text)),
    )
    return { system, storeUuid, ...(planDigest === undefined ? {} : { planDigest }) }
  }
  if (system === 'rescue') {
    const facts = await readJson(join(root, RESCUE.stageFacts), stageFactsSchema)
    if (facts === undefined) return undefined
    const { storeUuid, planDigest, rescueRootUuid } = facts
    return { system, storeUuid, planDigest, rescueRootUuid }
  }
  const facts = await readJson(join(root, FIRST_OS.run), runFactsSchema)
  return facts && { system, ...facts }
}

/** One assignment a line; a value is bare, quoted, or pieces of both. */
const ASSIGNMENT = /^([A-Z][A-Z0-9_]*)=((?:[\w./:@%+,=-]|'[^']*'|"[^"$`\\]*"|\\')*)$/
const PIECE = /'[^']*'|"[^"]*"|\\'/g

/**
 * Shell variables as a POSIX shell would read them, without expansions.
 * @throws RangeError for every line that is something else
 */
export function parseSettings(text: string): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [, name, value] = ASSIGNMENT.exec(line) ?? []
    if (name === undefined || value === undefined) throw new RangeError(`no setting: ${line}`)
    settings[name] = value.replace(PIECE, unquoted)
  }
  return settings
}

function unquoted(piece: string): string {
  return piece.startsWith('\\') ? piece.slice(1) : piece.slice(1, -1)
}

async function readJson<T>(path: string, schema: z.ZodMiniType<T>): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path}`, cause)
  }
  return parsed(path, () => schema.parse(JSON.parse(text)))
}

function parsed<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new OsflashError('format', `reading ${path}: it is not what osflash writes`, {
      cause,
      hints: [`look at it, and restore it from a backup: ${path}`],
    })
  }
}
