/**
 * What an operator does with a host: bring the program, call it, watch over SSH.
 *
 * 1. The bundle comes over HTTP and is unpacked to /opt/osflash; keys come over SSH.
 * 2. `apply` runs apart from the SSH connection, so that a reboot under it is no failure.
 * 3. `status --json` is read the same way in all three systems.
 */
import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'
import type { CommandOutcome } from '../boot/machine.ts'
import { type Host, SERIAL } from './host.ts'
import type { FileServer } from './http-server.ts'
import { bundle, imageFileName } from './images.ts'

export const PROGRAM = '/opt/osflash/bin/osflash'
const KEYS = '/root/osflash-keys'
const APPLY_LOG = '/root/apply.log'
const APPLY_STATUS = '/root/apply.status'

const statusSchema = z.object({
  system: z.string(),
  state: z.string(),
  error: z.optional(z.string()),
  notes: z.array(z.string()),
})
export type Status = z.infer<typeof statusSchema>

/** Brings program and keys to the first OS. */
export async function bringProgram(host: Host, server: FileServer): Promise<void> {
  const address = server.offer(bundle)
  await host.ssh(
    `set -e; mkdir -p /opt/osflash; curl -fsS ${address} -o /opt/osflash.tar.zst
     tar --zstd -xf /opt/osflash.tar.zst -C /opt/osflash --strip-components=1
     rm /opt/osflash.tar.zst`,
  )
  await bringKeys(host)
  const { strangerKey, strangerCert } = host.keys
  await putFile(host, `${KEYS}/stranger.key`, await readFile(strangerKey))
  await putFile(host, `${KEYS}/stranger.pub`, await readFile(strangerCert))
  // An operator who installs a program does not cut the power in the same second.
  await host.ssh('sync')
}

/** Brings the keys that images are read with; returns the options that name them. */
export async function bringKeys(host: Host): Promise<string> {
  const { signerCert, recipientKey } = host.keys
  await putFile(host, `${KEYS}/signer.pub`, await readFile(signerCert))
  await putFile(host, `${KEYS}/recipient.key`, await readFile(recipientKey))
  return `--trust ${KEYS}/signer.pub --identity ${KEYS}/recipient.key`
}

/** Writes a file of the guest, for root alone; its folder is made. */
async function putFile(host: Host, path: string, bytes: Uint8Array): Promise<void> {
  await host.ssh(`umask 077; mkdir -p "$(dirname ${path})"; cat > ${path}`, bytes)
}

export interface Request {
  readonly rescue: string
  readonly target: string
}

/** Options of plan and apply, by name; null leaves one out. */
export type Options = Readonly<Record<string, string | null>>

/** The addresses of two images of this machine. */
export function offered(server: FileServer, { rescue, target }: Request): Options {
  return {
    rescue: server.offer(rescue, imageFileName(rescue)),
    target: server.offer(target, imageFileName(target)),
  }
}

const USUAL: Options = {
  disk: SERIAL.disk,
  stage: SERIAL.stage,
  trust: `${KEYS}/signer.pub`,
  identity: `${KEYS}/recipient.key`,
  'wipe-data': '',
  'accept-no-watchdog': '',
}
export const STRANGER: Options = { trust: `${KEYS}/stranger.pub` }
export const STRANGERS_KEY: Options = { identity: `${KEYS}/stranger.key` }

/** The command line of `plan` or `apply`. */
export function commandLine(verb: string, ...layers: readonly Options[]): string {
  const options: Options = Object.assign({}, USUAL, ...layers)
  const words = Object.entries(options).flatMap(([name, value]) => {
    if (value === null) return []
    return value === '' ? [`--${name}`] : [`--${name}`, value]
  })
  return [PROGRAM, verb, ...words].join(' ')
}

/** Starts `apply`; it goes on when SSH ends. */
export async function startApply(host: Host, ...layers: readonly Options[]): Promise<void> {
  const command = commandLine('apply', { yes: '' }, ...layers)
  await host.ssh(
    `rm -f ${APPLY_STATUS}; systemd-run --quiet --collect --unit=e2e-apply sh -c ` +
      `'${command} > ${APPLY_LOG} 2>&1; echo $? > ${APPLY_STATUS}; sync'`,
  )
}

/**
 * Waits until `apply` has ended or the first OS is gone; in one call, so that the guest has its
 * processor for itself.
 * @throws when apply ended with a status other than 0; the message holds what it printed
 */
export async function applyDone(host: Host, seconds: number): Promise<'ended' | 'away'> {
  const wait = `for second in $(seq ${seconds}); do [ -s ${APPLY_STATUS} ] && break; sleep 1; done`
  const answer = await host.machine.tryCommand(`${wait}; cat ${APPLY_STATUS}`)
  if (answer === null) return 'away'
  const said = answer.stdout.trim()
  if (said === '0') return 'ended'
  const why = said === '' ? 'apply still runs' : `apply ended with ${said}`
  throw new Error(`${why}:\n${await host.ssh(`tail -c 3000 ${APPLY_LOG}`)}`)
}

/** The program of whatever system is running. */
export function osflash(host: Host, words: string): Promise<CommandOutcome> {
  return host.outcome(`if [ -x ${PROGRAM} ]; then ${PROGRAM} ${words}; else osflash ${words}; fi`)
}

export async function status(host: Host): Promise<Status & { readonly exitStatus: number }> {
  const outcome = await osflash(host, 'status --json')
  try {
    return { ...statusSchema.parse(JSON.parse(outcome.stdout)), exitStatus: outcome.status }
  } catch (cause) {
    const said = `${outcome.status}: ${outcome.stdout}${outcome.stderr}`
    throw new Error(`osflash status --json said ${said}`, { cause })
  }
}

/** Waits until the state is one of those named. */
export async function waitForState(
  host: Host,
  states: readonly string[],
  seconds: number,
): Promise<Status> {
  const deadline = host.seconds + seconds
  let last: Status | Error = new Error('never asked')
  while (host.seconds < deadline && host.machine.isOn) {
    const from = (await host.serialLog()).length
    last = await status(host).catch((cause: unknown) =>
      cause instanceof Error ? cause : new Error(String(cause)),
    )
    if (!(last instanceof Error) && states.includes(last.state)) return last
    await host.waitForNews(ASK_SECONDS, from)
  }
  const shown = last instanceof Error ? last.message : JSON.stringify(last)
  throw new Error(`not ${states.join(' or ')} within ${seconds} s; at last: ${shown}`)
}

/** Without news: `status` takes seconds of a guest without KVM. */
const ASK_SECONDS = 15
