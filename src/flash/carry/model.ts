/**
 * The carry: what makes a host itself, in one neutral model.
 *
 * 1. capture.ts reads it from the running first OS; renderers write it for the rescue and the
 *    target, each in the way of its network service.
 * 2. Interfaces are known by their permanent MAC address; the name is for people.
 * 3. A static address stays static; one from DHCP or router advertisements stays dynamic.
 * 4. What the model cannot say is refused before anything is touched, by name.
 *
 * Secrets are not in it: keys and hashes lie in files beside it (`CarryFiles`).
 */
import * as z from 'zod/mini'

const text = z.string().check(z.maxLength(4_096))
/** `192.0.2.10/24`, `2001:db8::1/64`. */
const addressSchema = z.strictObject({
  family: z.enum(['inet', 'inet6']),
  cidr: text,
  /** No connection of the host's own uses it: its preferred lifetime is 0. */
  isDeprecated: z.optional(z.literal(true)),
})

const routeSchema = z.strictObject({
  family: z.enum(['inet', 'inet6']),
  /** `default` or a prefix. */
  destination: text,
  gateway: z.optional(text),
  /** The gateway is reached although no prefix of the interface holds it. */
  onLink: z.boolean(),
  metric: z.optional(z.int()),
  source: z.optional(text),
})

/** `kind` is a union so that bonds, VLANs and bridges can be added. */
const ethernetSchema = z.strictObject({
  kind: z.literal('ethernet'),
  name: text,
  /** Permanent address, lower case. */
  mac: text,
  /** The driver says that `mac` is permanent; a virtual interface has only a current one. */
  macIsPermanent: z.boolean(),
  mtu: z.optional(z.int()),
  dhcp4: z.boolean(),
  dhcp6: z.boolean(),
  /** Option 61 as the first OS sent it, hex, with its type byte (RFC 2132); absent: unknown. */
  dhcp4ClientId: z.optional(z.string().check(z.regex(/^([0-9a-f]{2}){2,255}$/))),
  /** Of the default route that DHCPv4 gave; absent: there is none. */
  dhcp4Metric: z.optional(z.int()),
  /** A lease, and no default route from it: the server gave none, or it is not wanted. */
  dhcp4NoGateway: z.optional(z.literal(true)),
  acceptRouterAdvertisements: z.boolean(),
  /** Of the default route from advertisements; absent: there is none. */
  advertisedMetric: z.optional(z.int()),
  /** Static ones only. */
  addresses: z.array(addressSchema),
  routes: z.array(routeSchema),
  dnsServers: z.array(text),
  dnsDomains: z.array(text),
})

export const carrySchema = z.strictObject({
  format: z.literal('osflash-carry/1'),
  hostname: text,
  interfaces: z.array(z.discriminatedUnion('kind', [ethernetSchema])),
  /** Of the host, when no interface names its own. */
  dnsServers: z.array(text),
  dnsDomains: z.array(text),
  /**
   * What was up before: `gateways` are the default gateways that answered, `addresses` the static
   * addresses and IPv4 leases (without prefix length) of interfaces with a carrier: where people
   * find the host.
   */
  reach: z.strictObject({ gateways: z.array(text), addresses: z.array(text) }),
  /** Fingerprints (`SHA256:…`) of the host keys in `ssh/`. */
  hostKeys: z.array(text),
  /** Keys that give root a shell: those with a forced command do not count. */
  rootKeys: z.int(),
  hasRootPassword: z.boolean(),
})

export type Carry = z.infer<typeof carrySchema>
export type CarryInterface = Carry['interfaces'][number]
export type CarryRoute = z.infer<typeof routeSchema>

/** Names below the carry folder of the store. */
export const CARRY_FILES = {
  carry: 'carry.json',
  /** ssh_host_*_key, .pub and -cert.pub, as in /etc/ssh. */
  ssh: 'ssh',
  /** Root's authorized keys, as the first OS's sshd would read them. */
  rootKeys: 'root-authorized-keys',
  /** Root's line of /etc/shadow. */
  rootShadow: 'root-shadow',
} as const
