/**
 * The carried interfaces, out of what `ip` says.
 *
 * 1. What the model cannot say is refused first, by name: rules, tables, kinds of routes.
 * 2. Ethernet interfaces with an address, a route or a lease are carried; loopback, links without
 *    configuration, and virtual ones that are down, are not.
 * 3. An address with a lifetime is dynamic: it becomes DHCP or router advertisements. What has
 *    none is static, whoever set it. Routes of the kernel, of DHCP and of RA follow from them.
 * 4. The address of a point-to-point pair becomes a single address and a route to the other end;
 *    one whose prefix has no route becomes a single address.
 *
 * Pure. Not promised: DHCP whose client sets addresses for ever and leaves no lease in /run.
 */
import { OsflashError } from '../../errors.ts'
import {
  addressesOf,
  type Family,
  type IpAddress,
  type IpLink,
  type IpRoute,
  type IpState,
} from './ip-json.ts'
import { isLinkLocal6, isLoopback, prefixHolds } from './ip-prefix.ts'
import type { Lease } from './leases.ts'
import type { CarryInterface, CarryRoute } from './model.ts'

export interface InterfaceFacts {
  readonly state: IpState
  /** By name of the interface. */
  readonly leases: Readonly<Record<string, Lease>>
  /** /sys/class/net/NAME/addr_assign_type: 0 permanent, 1 random, 2 stolen, 3 set. */
  readonly macOrigins: Readonly<Record<string, number>>
}

const FAMILIES = ['inet', 'inet6'] as const
const MTU_USUAL = 1_500
const MAC_PERMANENT = 0
const MAC_RANDOM = 1

/**
 * The interfaces to carry, in the order of the kernel.
 * @throws OsflashError `refused` naming what cannot be carried
 */
export function carriedInterfaces(facts: InterfaceFacts): CarryInterface[] {
  checkRules(facts.state)
  checkRoutes(facts.state)
  const used = facts.state.links.filter((link) => isCarried(facts, link))
  const interfaces = used.map((link) => carriedInterface(facts, link))
  checkMacs(interfaces)
  if (interfaces.length > 0) return interfaces
  throw new OsflashError('refused', 'carrying the network: no Ethernet interface has an address')
}

/** Names of the carried interfaces that have a carrier. */
export function withCarrier(state: IpState): Set<string> {
  return new Set(state.links.filter(({ flags }) => flags.includes('LOWER_UP')).map((l) => l.ifname))
}

function checkRules({ rules }: IpState): void {
  const usual: Readonly<Record<number, string>> = { 0: 'local', 32766: 'main', 32767: 'default' }
  for (const family of FAMILIES) {
    for (const { priority, table, src, protocol: _, ...more } of rules[family]) {
      const plain = usual[priority] === table && src === 'all' && Object.keys(more).length === 0
      if (!plain) throw notYet(`the policy rule ${priority} (table ${table ?? 'none'})`)
    }
  }
}

function checkRoutes({ routes, links }: IpState): void {
  for (const family of FAMILIES) {
    for (const route of routes[family].filter((route) => isOwn(route))) {
      const reason = whyNotCarried(route)
      if (reason !== undefined) throw notYet(`the route to ${route.dst} (${reason})`)
      const link = links.find(({ ifname }) => ifname === route.dev)
      if (link !== undefined && isLeftOutVirtual(link)) continue
      if (link === undefined) throw notYet(`the route to ${route.dst} (without an interface)`)
      if (!isEthernet(link)) throw notYet(`the route to ${route.dst} (over ${kindOf(link)})`)
    }
  }
}

/** Somebody set it: neither the kernel from an address, nor DHCP, nor an advertisement. */
function isOwn({ type, protocol, table }: IpRoute): boolean {
  if (String(table ?? 'main') === 'local' || protocol === 'kernel') return false
  if (['local', 'broadcast', 'multicast', 'anycast'].includes(type ?? 'unicast')) return false
  const main = String(table ?? 'main') === 'main'
  return !main || !['dhcp', 'ra', 'redirect'].includes(String(protocol))
}

function whyNotCarried(route: IpRoute): string | undefined {
  const table = String(route.table ?? 'main')
  if (table !== 'main') return `table ${table}`
  if ((route.type ?? 'unicast') !== 'unicast') return route.type
  if (route.nexthops !== undefined) return 'several next hops'
  if (route.via !== undefined) return 'a gateway of the other family'
  if (route.encap !== undefined) return 'encapsulation'
  if (route.from !== undefined || route.tos !== undefined) return 'by source or TOS'
  if (route.metrics !== undefined) return 'with an MTU or other metrics'
  return undefined
}

/** A virtual link that carries nothing to the outside now, such as docker0 without containers. */
const isLeftOutVirtual = (link: IpLink): boolean =>
  !isEthernet(link) && link.link_type !== 'loopback' && link.operstate === 'DOWN'

/** veth: the whole network of a test's or a provider's namespace. */
const isEthernet = ({ link_type, linkinfo }: IpLink): boolean =>
  link_type === 'ether' && ['', 'veth'].includes(linkinfo?.info_kind ?? '')

const kindOf = ({ ifname, linkinfo, link_type }: IpLink): string =>
  `${ifname}, a link of kind ${linkinfo?.info_kind ?? link_type}`

function isCarried({ state, leases }: InterfaceFacts, link: IpLink): boolean {
  const addresses = addressesOf(state, link.ifname).filter(({ local }) => !isLinkLocal6(local))
  if (link.link_type === 'loopback') {
    const extra = addresses.find(({ local }) => !isLoopback(local))
    if (extra !== undefined) throw notYet(`the address ${extra.local} of ${link.ifname}`)
    return false
  }
  const routed = FAMILIES.some((family) => routesOf(state, family, link.ifname).length > 0)
  const leased = leases[link.ifname]?.address !== undefined
  if (addresses.length === 0 && !routed && !leased) return false
  if (isLeftOutVirtual(link)) return false
  if (!isEthernet(link)) throw notYet(`the interface ${kindOf(link)}`)
  if (link.master !== undefined) throw notYet(`${link.ifname} as a member of ${link.master}`)
  return true
}

function routesOf({ routes }: IpState, family: Family, name: string): IpRoute[] {
  return routes[family].filter((route) => route.dev === name && isOwn(route))
}

function carriedInterface(facts: InterfaceFacts, link: IpLink): CarryInterface {
  const { state, leases } = facts
  const lease = leases[link.ifname]
  const all = addressesOf(state, link.ifname).filter(({ local }) => !isLinkLocal6(local))
  const dynamic = all.filter((entry) => isDynamic(entry, lease))
  const fixed = all.filter((entry) => !isDynamic(entry, lease))
  const dynamic6 = dynamic.filter(({ family }) => family === 'inet6')
  const lengths6 = dynamic6.map(({ prefixlen }) => prefixlen)
  const advertised = state.routes.inet6.some((r) => r.dev === link.ifname && r.protocol === 'ra')
  const leased4 = lease?.address !== undefined || dynamic.some(({ family }) => family === 'inet')
  return {
    kind: 'ethernet',
    name: link.ifname,
    ...macOf(facts, link),
    ...(link.mtu === MTU_USUAL ? {} : { mtu: link.mtu }),
    dhcp4: leased4,
    // A DHCPv6 address is single; one from an advertisement has the length of its prefix.
    dhcp6: lengths6.includes(128),
    ...(lease?.clientId === undefined ? {} : { dhcp4ClientId: lease.clientId }),
    acceptRouterAdvertisements: advertised || lengths6.some((length) => length !== 128),
    ...givenDefaults(state, link, leased4 ? { routers: lease?.routers ?? [] } : undefined),
    addresses: fixed.map((entry) => ({
      family: familyOf(entry),
      cidr: cidrOf(state, link, entry),
      ...(entry.deprecated === true ? { isDeprecated: true as const } : {}),
    })),
    // A file may have outlived its lease: its gateway is the administrator's then.
    routes: carriedRoutes(state, link, { fixed, dynamic, lease: leased4 ? lease : undefined }),
    dnsServers: [],
    dnsDomains: [],
  }
}

/** The default routes that DHCPv4 and advertisements gave; who has the smaller metric is used. */
function givenDefaults(state: IpState, { ifname }: IpLink, lease: Lease | undefined) {
  const metricOf = (family: Family, isGiven: (route: IpRoute) => boolean) => {
    const routes = state.routes[family].filter(
      (route) => route.dev === ifname && route.dst === 'default' && isGiven(route),
    )
    return routes.length === 0 ? undefined : Math.min(...routes.map(({ metric = 0 }) => metric))
  }
  const four = metricOf('inet', (r) => r.protocol === 'dhcp' || isLeased(r.gateway, lease))
  const six = metricOf('inet6', ({ protocol }) => protocol === 'ra')
  return {
    ...(lease === undefined || four !== undefined ? {} : { dhcp4NoGateway: true as const }),
    ...(lease === undefined || four === undefined ? {} : { dhcp4Metric: four }),
    ...(six === undefined ? {} : { advertisedMetric: six }),
  }
}

function macOf({ macOrigins }: InterfaceFacts, link: IpLink) {
  const { address = '', permaddr, ifname } = link
  if (permaddr !== undefined && permaddr !== address) {
    throw notYet(`${ifname} with the address ${address} in place of its own ${permaddr}`)
  }
  const origin = macOrigins[ifname]
  if (origin === MAC_RANDOM) throw notYet(`${ifname}, whose MAC address is new at every boot`)
  return { mac: address.toLowerCase(), macIsPermanent: origin === MAC_PERMANENT }
}

function isDynamic(entry: IpAddress, lease: Lease | undefined): boolean {
  return entry.dynamic === true || entry.temporary === true || entry.local === lease?.address
}

const familyOf = ({ family }: IpAddress): Family => (family === 'inet6' ? 'inet6' : 'inet')
const singleLength = (entry: IpAddress): number => (familyOf(entry) === 'inet' ? 32 : 128)

function isPair({ address, local }: IpAddress): boolean {
  return address !== undefined && address !== local
}

function cidrOf(state: IpState, link: IpLink, entry: IpAddress): string {
  const { local, prefixlen, noprefixroute } = entry
  if (isPair(entry)) {
    if (prefixlen !== singleLength(entry)) throw notYet(`the peer of ${local} with a prefix`)
    return `${local}/${prefixlen}`
  }
  const cidr = `${local}/${prefixlen}`
  const inKernel = state.routes[familyOf(entry)].some(
    ({ dev, dst, gateway }) =>
      dev === link.ifname && gateway === undefined && prefixHolds(cidr, dst.split('/')[0] ?? ''),
  )
  return noprefixroute && !inKernel ? `${local}/${singleLength(entry)}` : cidr
}

interface Origins {
  readonly fixed: readonly IpAddress[]
  readonly dynamic: readonly IpAddress[]
  readonly lease: Lease | undefined
}

function carriedRoutes(state: IpState, link: IpLink, origins: Origins): CarryRoute[] {
  const peers = origins.fixed.filter(isPair).map(
    (entry): CarryRoute => ({
      family: familyOf(entry),
      destination: `${entry.address}/${entry.prefixlen}`,
      onLink: false,
      source: entry.local,
    }),
  )
  const held = [
    ...origins.fixed.map((entry) => cidrOf(state, link, entry)),
    ...origins.dynamic.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
  ]
  const routes = FAMILIES.flatMap((family) =>
    routesOf(state, family, link.ifname)
      .filter(({ dst, gateway }) => !(dst === 'default' && isLeased(gateway, origins.lease)))
      .map((route) => carriedRoute(family, route, held)),
  )
  return [...peers, ...routes]
}

const isLeased = (gateway: string | undefined, lease: Lease | undefined): boolean =>
  gateway !== undefined && lease?.routers.includes(gateway) === true

function carriedRoute(family: Family, route: IpRoute, held: readonly string[]): CarryRoute {
  const { dst, gateway, metric, prefsrc, flags = [] } = route
  const near =
    gateway === undefined || isLinkLocal6(gateway) || held.some((p) => prefixHolds(p, gateway))
  return {
    family,
    destination:
      dst === 'default' || dst.includes('/') ? dst : `${dst}/${family === 'inet' ? 32 : 128}`,
    ...(gateway === undefined ? {} : { gateway }),
    onLink: flags.includes('onlink') || !near,
    ...(metric === undefined || metric === 0 ? {} : { metric }),
    ...(prefsrc === undefined ? {} : { source: prefsrc }),
  }
}

function checkMacs(interfaces: readonly CarryInterface[]): void {
  const seen = new Map<string, string>()
  for (const { mac, name } of interfaces) {
    const other = seen.get(mac)
    if (other !== undefined) throw notYet(`${other} and ${name}, which share the MAC ${mac}`)
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) throw notYet(`${name} with the MAC ${mac}`)
    seen.set(mac, name)
  }
}

function notYet(item: string): OsflashError {
  return new OsflashError('refused', `carrying the network: ${item} cannot be carried yet`, {
    data: { item },
    hints: ['take it out of the running system for the replacement, if the host can do without'],
  })
}
