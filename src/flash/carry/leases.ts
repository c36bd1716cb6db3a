/**
 * What a DHCP client wrote down about its lease.
 *
 * 1. systemd-networkd keeps NAME=VALUE lines below /run/systemd/netif/leases, a file an interface
 *    index; it is gone when the lease is.
 * 2. ISC dhclient appends to dhclient*.leases below /var/lib; the last block of an interface
 *    counts, and only for whose gateway it is: the file outlives the lease.
 *
 * Pure.
 */

export interface Lease {
  /** Absent where the file may be older than what runs. */
  readonly address?: string
  readonly routers: readonly string[]
  /** Option 61, lower-case hex. */
  readonly clientId?: string
}

/** A lease of systemd-networkd. */
export function networkdLease(text: string): Lease | undefined {
  const values = new Map(text.split('\n').map((line) => halves(line)))
  const address = values.get('ADDRESS')
  if (address === undefined) return undefined
  const clientId = values.get('CLIENTID')?.toLowerCase()
  const known = clientId !== undefined && /^([0-9a-f]{2}){2,255}$/.test(clientId)
  const routers = (values.get('ROUTER') ?? '').split(' ').filter((word) => word !== '')
  return { address, routers, ...(known ? { clientId } : {}) }
}

/** The last lease of an interface in a file of dhclient. */
export function dhclientLease(text: string, name: string): Lease | undefined {
  const blocks = text.split(/^lease \{/m).slice(1)
  const own = blocks.findLast((block) => block.includes(`interface "${name}";`))
  if (own === undefined) return undefined
  const routers = /option routers ([^;]*);/.exec(own)?.[1] ?? ''
  return { routers: routers.split(/[ ,]+/).filter((word) => word !== '') }
}

function halves(line: string): [string, string] {
  const at = line.indexOf('=')
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)]
}
