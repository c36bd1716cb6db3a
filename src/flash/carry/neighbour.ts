/**
 * Does a gateway answer?
 *
 * 1. One echo request, two seconds. A gateway that answers it is there.
 * 2. Many answer no echo, but must answer ARP or neighbour discovery: the request made the kernel
 *    ask, and an entry that is REACHABLE is an answer of just now. STALE or DELAY is no answer.
 * 3. Without `ping` a datagram to the discard port makes the kernel ask.
 *
 * Not promised: that the gateway routes.
 */
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { OsflashError } from '../../errors.ts'
import { run } from '../../system/run.ts'
import { IP_SCHEMAS, readIpJson } from './ip-json.ts'
import { isLinkLocal6 } from './ip-prefix.ts'

const PING_SECONDS = '2'
const DISCARD_PORT = 9
const ASK_MS = 1_500

export interface GatewayQuestion {
  readonly gateway: string
  /** Interfaces behind which a link-local gateway may be. */
  readonly names: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** @throws OsflashError `cancelled`, or `process` when `ip` fails */
export async function gatewayAnswers({
  gateway,
  names,
  signal,
}: GatewayQuestion): Promise<boolean> {
  const zones = isLinkLocal6(gateway) ? names : [undefined]
  const answers = await Promise.all(
    zones.map(async (zone) => {
      if (await pinged({ gateway, zone, signal })) return true
      return isReachable(gateway, zone, signal)
    }),
  )
  return answers.includes(true)
}

interface Probe {
  readonly gateway: string
  readonly zone: string | undefined
  readonly signal: AbortSignal | undefined
}

async function pinged({ gateway, zone, signal }: Probe): Promise<boolean> {
  const through = zone === undefined ? [] : ['-I', zone]
  const argv = ['-n', '-q', '-c', '1', '-W', PING_SECONDS, ...through, gateway]
  try {
    // 2: no route, or the interface is not up yet.
    return (await run(['ping', ...argv], { signal, statuses: [0, 1, 2] })).status === 0
  } catch (cause) {
    if (!(cause instanceof OsflashError) || cause.code !== 'missing-tool') throw cause
    await sendDatagram(zone === undefined ? gateway : `${gateway}%${zone}`)
    await sleep(ASK_MS, undefined, { signal }).catch(() => undefined)
    return false
  }
}

async function isReachable(
  gateway: string,
  zone: string | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const through = zone === undefined ? [] : ['dev', zone]
  const { stdout } = await run(['ip', '-j', 'neigh', 'show', 'to', gateway, ...through], { signal })
  const entries = readIpJson(IP_SCHEMAS.neighbours, stdout)
  return entries.some(({ state = [] }) => state.includes('REACHABLE'))
}

/** Whether it arrives does not matter, nor whether it can be sent. */
function sendDatagram(address: string): Promise<void> {
  const socket = createSocket(isIPv6(address.split('%')[0] ?? '') ? 'udp6' : 'udp4')
  return new Promise((resolve) => {
    const end = () => socket.close(() => resolve())
    socket.once('error', end)
    socket.send(Buffer.alloc(1), DISCARD_PORT, address, end)
  })
}
