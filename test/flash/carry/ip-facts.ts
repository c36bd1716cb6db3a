/** What `ip -json` of iproute2 6.1 prints, cut to a host with one or more interfaces. */
import type { InterfaceFacts } from '../../../src/flash/carry/interfaces.ts'
import type {
  IpAddress,
  IpLink,
  IpRoute,
  IpRule,
  IpState,
} from '../../../src/flash/carry/ip-json.ts'

export const MAC = '52:54:00:12:34:56'

export const link = (more: Partial<IpLink> = {}): IpLink => ({
  ifindex: 2,
  ifname: 'ens3',
  flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
  mtu: 1_500,
  operstate: 'UP',
  link_type: 'ether',
  address: MAC,
  ...more,
})

const loopback = link({
  ifindex: 1,
  ifname: 'lo',
  flags: ['LOOPBACK', 'UP', 'LOWER_UP'],
  operstate: 'UNKNOWN',
  link_type: 'loopback',
  address: '00:00:00:00:00:00',
})

export const address4 = (local: string, more: Partial<IpAddress> = {}): IpAddress => ({
  family: 'inet',
  local,
  prefixlen: 24,
  scope: 'global',
  ...more,
})

export const address6 = (local: string, more: Partial<IpAddress> = {}): IpAddress => ({
  family: 'inet6',
  local,
  prefixlen: 64,
  scope: 'global',
  ...more,
})

export const route = (dst: string, more: Partial<IpRoute> = {}): IpRoute => ({
  type: 'unicast',
  dst,
  dev: 'ens3',
  table: 'main',
  protocol: 'static',
  flags: [],
  ...more,
})

const rules4: IpRule[] = [
  { priority: 0, src: 'all', table: 'local' },
  { priority: 32_766, src: 'all', table: 'main' },
  { priority: 32_767, src: 'all', table: 'default' },
]

interface HostFacts {
  readonly links?: readonly IpLink[]
  /** By name of the interface. */
  readonly addresses?: Readonly<Record<string, readonly IpAddress[]>>
  readonly routes4?: readonly IpRoute[]
  readonly routes6?: readonly IpRoute[]
  readonly moreRules?: readonly IpRule[]
  readonly leases?: InterfaceFacts['leases']
  readonly macOrigins?: InterfaceFacts['macOrigins']
}

/** A host with ens3, 192.0.2.10/24, unless told otherwise. */
export function factsOf(host: HostFacts = {}): InterfaceFacts {
  const addresses = host.addresses ?? { ens3: [address4('192.0.2.10')] }
  const state: IpState = {
    links: [loopback, ...(host.links ?? [link()])],
    addresses: [
      { ifname: 'lo', addr_info: [address4('127.0.0.1', { prefixlen: 8, scope: 'host' })] },
      ...Object.entries(addresses).map(([ifname, list]) => ({ ifname, addr_info: [...list] })),
    ],
    routes: { inet: host.routes4 ?? [], inet6: host.routes6 ?? [] },
    rules: { inet: [...rules4, ...(host.moreRules ?? [])], inet6: rules4.slice(0, 2) },
  }
  return { state, leases: host.leases ?? {}, macOrigins: host.macOrigins ?? { ens3: 0, ens4: 0 } }
}
