/**
 * Two network namespaces joined by a cable: a host with one interface, and a router.
 * Root only; everything is gone when the block is left.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { run } from '../../../src/system/run.ts'

export const MAC = '02:00:5e:00:00:07'
export const NIC = 'ens3'

export interface Cable extends AsyncDisposable {
  /** Name of the host's namespace. */
  readonly host: string
  /** Name of the router's namespace. */
  readonly router: string
  /** `ip` in the host's namespace. */
  readonly onHost: (command: string) => Promise<unknown>
  /** Its ifindex there. */
  readonly indexOf: (interfaceName: string) => Promise<number>
  /** `ip` in the router's namespace; its interface is `lan`. */
  readonly onRouter: (command: string) => Promise<unknown>
}

const canNamespace = process.getuid?.() === 0 && existsSync('/run')
/** True where namespaces can be made. */
export const asRoot = canNamespace

let count = 0

export async function makeCable(): Promise<Cable> {
  count += 1
  const host = `osf-h-${process.pid}-${count}`
  const router = `osf-r-${process.pid}-${count}`
  await using undo = new AsyncDisposableStack()
  for (const name of [host, router]) {
    await run(['ip', 'netns', 'add', name])
    undo.defer(async () => {
      await run(['ip', 'netns', 'delete', name])
    })
    // Without waiting for duplicates: an address counts at once.
    await run(['ip', 'netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0'])
  }
  const ipIn = (name: string) => (command: string) => run(['ip', '-n', name, ...command.split(' ')])
  const ends = `link add ${NIC} address ${MAC} type veth peer name lan netns ${router}`
  await ipIn(host)(ends)
  await ipIn(host)(`link set ${NIC} up`)
  await ipIn(router)('link set lan up')
  const kept = undo.move()
  return {
    host,
    router,
    onHost: ipIn(host),
    indexOf: async (name) => {
      const { stdout } = await ipIn(host)(`-j link show dev ${name}`)
      return z.parse(z.tuple([z.object({ ifindex: z.int() })]), JSON.parse(stdout))[0].ifindex
    },
    onRouter: ipIn(router),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** Runs carry-worker.ts in a namespace and gives its JSON answer. */
export const inNamespace = (name: string, ...args: readonly string[]): Promise<unknown> =>
  runWorker('carry-worker.ts', name, args)

/** The client identifier that the next DHCP client sends to this namespace, in hex. */
export const dhcpClientId = (name: string): Promise<unknown> =>
  runWorker('dhcp-worker.ts', name, [])

async function runWorker(file: string, name: string, args: readonly string[]): Promise<unknown> {
  const worker = join(import.meta.dirname, file)
  const argv = ['ip', 'netns', 'exec', name, process.execPath, worker, ...args] as const
  const { stdout } = await run(argv)
  return JSON.parse(stdout)
}
