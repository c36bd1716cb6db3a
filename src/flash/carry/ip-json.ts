/**
 * What `ip -json` prints, as types; unknown members are ignored, so every iproute2 since 4.18 fits.
 *
 * 1. `readIpJson` checks one answer against its schema; an empty answer is an empty list, as older
 *    iproute2 prints nothing at all.
 * 2. Only what the carry asks for is named; what it must refuse (`nexthops`, `encap`) is named too.
 *
 * Pure.
 */
import * as z from 'zod/mini'
import { OsflashError } from '../../errors.ts'

const text = z.string()
const texts = z.array(text)

const linkSchema = z.object({
  ifindex: z.int(),
  ifname: text,
  flags: texts,
  mtu: z.int(),
  operstate: z.optional(text),
  link_type: text,
  address: z.optional(text),
  /** Printed only where it differs from `address`. */
  permaddr: z.optional(text),
  /** The bond or bridge that this interface is a member of. */
  master: z.optional(text),
  linkinfo: z.optional(z.object({ info_kind: z.optional(text) })),
})

const addressSchema = z.object({
  family: text,
  local: text,
  /** The other end of a point-to-point address. */
  address: z.optional(text),
  prefixlen: z.int(),
  scope: text,
  dynamic: z.optional(z.boolean()),
  temporary: z.optional(z.boolean()),
  noprefixroute: z.optional(z.boolean()),
  deprecated: z.optional(z.boolean()),
  /** Duplicate detection is under way, or found another owner (`dadfailed`). */
  tentative: z.optional(z.boolean()),
  dadfailed: z.optional(z.boolean()),
})

/** Entries that a filter of `ip` left out are empty objects. */
const addressesSchema = z.object({
  ifname: z.optional(text),
  addr_info: z.optional(z.array(z.union([addressSchema, z.object({})]))),
})

const routeSchema = z.object({
  type: z.optional(text),
  dst: text,
  gateway: z.optional(text),
  via: z.optional(z.unknown()),
  nexthops: z.optional(z.unknown()),
  encap: z.optional(z.unknown()),
  metrics: z.optional(z.unknown()),
  from: z.optional(text),
  tos: z.optional(z.unknown()),
  dev: z.optional(text),
  table: z.optional(z.union([text, z.number()])),
  protocol: z.optional(z.union([text, z.number()])),
  metric: z.optional(z.number()),
  prefsrc: z.optional(text),
  flags: z.optional(texts),
})

const ruleSchema = z.looseObject({ priority: z.number(), table: z.optional(text) })
const neighbourSchema = z.object({ dst: text, dev: z.optional(text), state: z.optional(texts) })

export const IP_SCHEMAS = {
  links: z.array(linkSchema),
  addresses: z.array(addressesSchema),
  routes: z.array(routeSchema),
  rules: z.array(ruleSchema),
  neighbours: z.array(neighbourSchema),
} as const

export type IpLink = z.infer<typeof linkSchema>
export type IpAddress = z.infer<typeof addressSchema>
export type IpAddresses = z.infer<typeof addressesSchema>
export type IpRoute = z.infer<typeof routeSchema>
export type IpRule = z.infer<typeof ruleSchema>
export type IpNeighbour = z.infer<typeof neighbourSchema>

export type Family = 'inet' | 'inet6'

/** Everything that `ip` says about one host. */
export interface IpState {
  readonly links: readonly IpLink[]
  readonly addresses: readonly IpAddresses[]
  readonly routes: Readonly<Record<Family, readonly IpRoute[]>>
  readonly rules: Readonly<Record<Family, readonly IpRule[]>>
}

/**
 * One answer of `ip -json`.
 * @throws OsflashError `format` when it is no such answer
 */
export function readIpJson<T>(schema: z.ZodMiniType<T>, json: string): T {
  try {
    return z.parse(schema, JSON.parse(json.trim() === '' ? '[]' : json))
  } catch (cause) {
    throw new OsflashError('format', 'reading what ip -json printed: not what iproute2 prints', {
      cause,
      hints: ['ip -j -d link', 'iproute2 4.18 or newer is needed'],
    })
  }
}

/** The addresses of one interface. */
export function addressesOf(state: IpState, name: string): IpAddress[] {
  return state.addresses
    .filter(({ ifname }) => ifname === name)
    .flatMap(({ addr_info = [] }) => addr_info)
    .filter((entry): entry is IpAddress => 'local' in entry)
}

/** The addresses of one interface that answer. */
export const usableAddresses = (state: IpState, name: string): string[] =>
  addressesOf(state, name)
    .filter(({ tentative, dadfailed }) => tentative !== true && dadfailed !== true)
    .map(({ local }) => local)
