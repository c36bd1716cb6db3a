/**
 * The line of /etc/hosts that names the host itself (hosts(5)).
 *
 * 1. Debian has it as 127.0.1.1; a line with that address is replaced, whatever it names.
 * 2. Where there is none, one is added; without 127.0.0.1 that line is added as well.
 *
 * Pure.
 */

const SELF = '127.0.1.1'

/** `text` with `hostname` as the name of 127.0.1.1; a name with dots gets its first part too. */
export function withHostname(text: string, hostname: string): string {
  const [short = hostname] = hostname.split('.')
  const names = short === hostname ? hostname : `${hostname} ${short}`
  const own = `${SELF}\t${names}`
  const lines = text.split('\n').filter((line, index, all) => index < all.length - 1 || line !== '')
  const isOf = (line: string, address: string) => line.trim().split(/\s+/)[0] === address
  const head = lines.some((line) => isOf(line, '127.0.0.1')) ? [] : ['127.0.0.1\tlocalhost']
  const at = lines.findIndex((line) => isOf(line, SELF))
  const others = lines.filter((line) => !isOf(line, SELF))
  const before = at < 0 ? others.length : at
  return `${[...head, ...others.slice(0, before), own, ...others.slice(before)].join('\n')}\n`
}
