/**
 * The network of the running first OS: asks the kernel and reads what clients left in /run.
 *
 * 1. `ip -json`: links, addresses, routes of all tables, policy rules, both families.
 * 2. Leases of systemd-networkd and dhclient; how each MAC address came about.
 * 3. Name servers: /etc/resolv.conf, or what stands behind the stub of systemd-resolved. A
 *    link-local server belongs to its interface.
 * 4. Default gateways, and which of them answer now.
 *
 * Changes nothing but neighbour entries.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfCancelled } from '../../errors.ts'
import { readInside } from '../../system/inside-root.ts'
import { run } from '../../system/run.ts'
import { carriedInterfaces, type InterfaceFacts, withCarrier } from './interfaces.ts'
import { addressesOf, IP_SCHEMAS, type IpState, readIpJson, usableAddresses } from './ip-json.ts'
import { dhclientLease, type Lease, networkdLease } from './leases.ts'
import type { Carry, CarryInterface } from './model.ts'
import { gatewayAnswers } from './neighbour.ts'
import { type Resolver, readResolvConf } from './resolver.ts'

type CarriedNetwork = Pick<Carry, 'interfaces' | 'dnsServers' | 'dnsDomains' | 'reach'>

/** Where /etc, /run and /var are; `/` on a host. */
export interface CaptureInput {
  readonly root?: string
  readonly signal?: AbortSignal | undefined
}

const DHCLIENT_FOLDERS = ['/var/lib/dhcp', '/var/lib/dhclient']

/** @throws OsflashError `refused` (cannot be carried), `process`, `missing-tool`, `io` */
export async function captureNetwork({
  root = '/',
  signal,
}: CaptureInput): Promise<CarriedNetwork> {
  const state = await ipState(signal)
  const interfaces = carriedInterfaces(await interfaceFacts(root, state))
  const { servers, domains } = await resolverOf(root)
  const up = withCarrier(state)
  return {
    interfaces: interfaces.map((one) => ({ ...one, dnsServers: zonedServers(servers, one.name) })),
    dnsServers: servers.filter((server) => !server.includes('%')),
    dnsDomains: [...domains],
    reach: {
      gateways: await answeringGateways(state, interfaces, signal),
      addresses: interfaces.filter(({ name }) => up.has(name)).flatMap((o) => reachedAt(state, o)),
    },
  }
}

/** Everything that `ip` says. @throws OsflashError `process`, `missing-tool`, `format` */
export async function ipState(signal?: AbortSignal): Promise<IpState> {
  const ask = async (...args: string[]) => (await run(['ip', '-j', ...args], { signal })).stdout
  // A kernel started with ipv6.disable=1 refuses the question.
  const ask6 = (await hasIpv6()) ? ask : async () => ''
  const [links, addresses, routes4, routes6, rules4, rules6] = await Promise.all([
    ask('-d', 'link', 'show'),
    ask('-d', 'address', 'show'),
    ask('-4', '-d', 'route', 'show', 'table', 'all'),
    ask6('-6', '-d', 'route', 'show', 'table', 'all'),
    ask('-4', 'rule', 'show'),
    ask6('-6', 'rule', 'show'),
  ])
  return {
    links: readIpJson(IP_SCHEMAS.links, links),
    addresses: readIpJson(IP_SCHEMAS.addresses, addresses),
    routes: {
      inet: readIpJson(IP_SCHEMAS.routes, routes4),
      inet6: readIpJson(IP_SCHEMAS.routes, routes6),
    },
    rules: {
      inet: readIpJson(IP_SCHEMAS.rules, rules4),
      inet6: readIpJson(IP_SCHEMAS.rules, rules6),
    },
  }
}

const hasIpv6 = (): Promise<boolean> =>
  stat('/proc/net/if_inet6').then(
    () => true,
    () => false,
  )

async function interfaceFacts(root: string, state: IpState): Promise<InterfaceFacts> {
  const leases: Record<string, Lease> = {}
  const macOrigins: Record<string, number> = {}
  const clientFiles = await dhclientFiles(root)
  for (const { ifname, ifindex } of state.links) {
    const file = await readInside(root, `/run/systemd/netif/leases/${ifindex}`)
    const lease =
      (file === undefined ? undefined : networkdLease(file.toString())) ??
      clientFiles.map((text) => dhclientLease(text, ifname)).findLast((one) => one !== undefined)
    if (lease !== undefined) leases[ifname] = lease
    const origin = await readFile(`/sys/class/net/${ifname}/addr_assign_type`, 'utf8').catch(
      () => '',
    )
    if (/^\d+\s*$/.test(origin)) macOrigins[ifname] = Number(origin)
  }
  return { state, leases, macOrigins }
}

async function dhclientFiles(root: string): Promise<string[]> {
  const texts: string[] = []
  for (const folder of DHCLIENT_FOLDERS) {
    const names = await readdir(join(root, folder)).catch((): string[] => [])
    for (const name of names.filter((one) => /^dhclient.*\.leases?$/.test(one)).sort()) {
      const bytes = await readInside(root, join(folder, name))
      if (bytes !== undefined) texts.push(bytes.toString())
    }
  }
  return texts
}

/** The stub of systemd-resolved is followed to the servers behind it. */
async function resolverOf(root: string): Promise<Resolver> {
  const read = async (path: string) =>
    readResolvConf((await readInside(root, path))?.toString() ?? '')
  const own = await read('/etc/resolv.conf')
  const upstream = await read('/run/systemd/resolve/resolv.conf')
  if (upstream.servers.length === 0 || (own.servers.length > 0 && !own.hasStub)) return own
  return { ...upstream, domains: own.domains.length > 0 ? own.domains : upstream.domains }
}

/** An address from advertisements is left out: another system may choose another one. */
function reachedAt(state: IpState, { name, addresses }: CarryInterface): string[] {
  const fixed = addresses.map(({ cidr }) => cidr.split('/')[0] ?? cidr)
  const all4 = addressesOf(state, name).filter(({ family }) => family === 'inet')
  const usable = usableAddresses(state, name)
  const found = new Set([...fixed, ...all4.map(({ local }) => local)])
  return [...found].filter((address) => usable.includes(address))
}

const zonedServers = (servers: readonly string[], name: string): string[] =>
  servers.filter((one) => one.endsWith(`%${name}`)).map((one) => one.slice(0, -name.length - 1))

async function answeringGateways(
  state: IpState,
  interfaces: readonly CarryInterface[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const names = new Set(interfaces.map(({ name }) => name))
  const gateways = [...state.routes.inet, ...state.routes.inet6].flatMap(
    ({ dst, dev, gateway, table = 'main' }) =>
      dst === 'default' && table === 'main' && dev !== undefined && gateway !== undefined
        ? names.has(dev)
          ? [{ gateway, dev }]
          : []
        : [],
  )
  const answers = await Promise.all(
    gateways.map(async ({ gateway, dev }) =>
      (await gatewayAnswers({ gateway, names: [dev], signal })) ? [gateway] : [],
    ),
  )
  throwIfCancelled(signal)
  return [...new Set(answers.flat())]
}
