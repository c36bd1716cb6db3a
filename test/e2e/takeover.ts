/**
 * A whole replacement on one host, watched from outside; scenarios and the demo share it.
 *
 * 1. The first OS starts; program and keys are brought; plan, then apply.
 * 2. The rescue is seen, then the target; nobody says anything to either.
 * 3. The times are those of somebody who waits for SSH: a system is there from its first answer to
 *    the reset of the machine.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '../../src/units.ts'
import { bootOrder } from './boot-entries.ts'
import { Host, type HostOptions } from './host.ts'
import { FileServer } from './http-server.ts'
import { image, type Variant } from './images.ts'
import {
  applyDone,
  bringProgram,
  commandLine,
  type Options,
  offered,
  type Status,
  startApply,
  waitForState,
} from './operator.ts'

/** Generous: two cores, and TCG; a scenario ends by its own timeout. */
export const LIMIT = { boot: 420, staging: 900, away: 420, flash: 900, confirm: 420 } as const

export interface Watcher {
  /** Called when something happened. */
  readonly onStep?: (text: string) => void
}

export interface Began extends AsyncDisposable {
  readonly host: Host
  readonly server: FileServer
  readonly images: Options
}

/** A host whose first OS runs, with the program in it, and images offered to it. */
export async function beginWith(
  options: HostOptions,
  variants: { readonly rescue?: Variant; readonly target?: Variant } = {},
): Promise<Began> {
  const rescue = await image('rescue', variants.rescue)
  const target = await image('target-debian-13', variants.target)
  const host = await Host.make(options)
  const server = await FileServer.start()
  const images = offered(server, { rescue, target })
  return {
    host,
    server,
    images,
    [Symbol.asyncDispose]: async () => {
      await host[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Switches the first OS on and brings it the program. */
export async function bootFirstOs({ host, server }: Began): Promise<void> {
  await host.powerOn()
  await host.waitFor('first-os', { seconds: LIMIT.boot })
  await bringProgram(host, server)
}

/** What was true in each of the three systems. */
export interface Takeover {
  readonly before: Identity
  readonly during: Identity
  readonly after: Identity
  readonly plan: string
  /** The session key of the target image, as the store held it. */
  readonly sessionKey: string
  readonly confirmed: Status
  readonly times: Times
}

/** From the answering first OS to the confirmed target. */
export async function takeOver(
  { host, images }: Began,
  { onStep = () => undefined }: Watcher = {},
): Promise<Takeover> {
  const before = await identity(host)
  onStep(`first OS: ${before.release}, ${before.hostname}`)
  const plan = await host.ssh(commandLine('plan', images))
  onStep(plan)
  const applied = host.seconds
  await startApply(host, images)
  if ((await applyDone(host, LIMIT.staging)) !== 'away') {
    await host.waitForSilence(LIMIT.away)
  }
  onStep('apply: staged and armed; the host is away')
  await host.waitFor('rescue', { seconds: LIMIT.away })
  const during = await identity(host)
  onStep(`rescue: ${during.release}, ${during.hostname}`)
  const sessionKey = (await host.ssh(WAIT_FOR_KEY)).trim()
  await host.waitFor('target', { seconds: LIMIT.flash })
  onStep('target: answers')
  if (images.confirm === 'ssh') await confirmBySsh(host)
  const confirmed = await waitForState(host, ['confirmed'], LIMIT.confirm)
  const confirmedAt = host.seconds
  const after = await identity(host)
  onStep(`target: confirmed, ${after.release}, ${after.hostname}`)
  const times = timesOf(host, applied, confirmedAt)
  return { before, during, after, plan, sessionKey, confirmed, times }
}

/** An operator who tries until the target's own checks agree. */
async function confirmBySsh(host: Host): Promise<void> {
  const deadline = host.seconds + LIMIT.confirm
  for (;;) {
    const { status, stdout, stderr } = await host.outcome('osflash-confirm')
    if (status === 0) return
    if (host.seconds > deadline) throw new Error(`osflash-confirm: ${status} ${stdout}${stderr}`)
    await sleep(TRY_AGAIN_MS)
  }
}
const TRY_AGAIN_MS = 5000

/** The store is mounted soon after SSH answers. */
const WAIT_FOR_KEY = `key=/run/osflash/store/target.session-key
for second in $(seq 120); do [ -s $key ] && break; sleep 1; done; cat $key`

/** What makes a host itself, as it says of itself. */
export interface Identity {
  readonly release: string
  readonly hostname: string
  readonly addresses: string
  readonly route: string
  /** Public host keys, one a line, without comments. */
  readonly hostKeys: string
  readonly rootKeys: string
  /** Hash of root's password. */
  readonly rootPassword: string
  /** Under UEFI: what the firmware tries, in order. */
  readonly bootEntries: readonly string[]
}

async function identity(host: Host): Promise<Identity> {
  const ask = async (command: string): Promise<string> => (await host.ssh(command)).trim()
  return {
    release: await ask('. /etc/os-release; echo "$ID $VERSION_ID"'),
    hostname: await ask('cat /proc/sys/kernel/hostname'),
    addresses: await ask("ip -4 -o addr show scope global | awk '{print $4}'"),
    route: await ask("ip -4 route show default | awk '{print $3}'"),
    hostKeys: await ask("cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f1,2 | sort"),
    rootKeys: await ask('cat /root/.ssh/authorized_keys'),
    rootPassword: await ask('getent shadow root | cut -d: -f2'),
    bootEntries: await bootOrder(host),
  }
}

/** Seconds. */
export interface Times {
  readonly staging: number
  readonly away: number
  readonly flashing: number
  readonly awayAgain: number
  readonly confirming: number
}

function timesOf(host: Host, applied: number, confirmedAt: number): Times {
  const of = (system: string) => host.seen.filter((boot) => boot.system === system)
  const first = of('first-os').at(-1)
  const rescue = of('rescue')
  const target = of('target').at(-1)
  const [began, ended] = [rescue[0]?.first, rescue.at(-1)?.last]
  if (!first || began === undefined || ended === undefined || !target) {
    throw new Error('one of the three systems was never seen')
  }
  return {
    staging: first.last - applied,
    away: began - first.last,
    flashing: ended - began,
    awayAgain: target.first - ended,
    confirming: confirmedAt - target.first,
  }
}

/** As a table for people. */
export function timeTable(times: Times): string {
  const rows: readonly [string, number][] = [
    ['staging (first OS at work)', times.staging],
    ['away', times.away],
    ['flashing (rescue answers)', times.flashing],
    ['away again', times.awayAgain],
    ['until confirmed', times.confirming],
    ['in all', Object.values(times).reduce((sum: number, part: number) => sum + part, 0)],
  ]
  return rows
    .map(([what, seconds]) => `  ${what.padEnd(30)} ${formatDuration(seconds).padStart(10)}\n`)
    .join('')
}
