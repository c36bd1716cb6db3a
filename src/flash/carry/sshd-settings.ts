/**
 * What `sshd -T` says that the carry must know.
 *
 * 1. Each line is a lower-case keyword and its value; keywords repeat.
 * 2. Names of authorized-keys files have `%h`, `%u`, `%U` and `%%`; one without a leading slash is
 *    below the home folder (sshd_config(5)).
 *
 * Pure.
 */

export interface SshdSettings {
  /** On which it listens; one or more. */
  readonly ports: readonly number[]
  readonly hostKeys: readonly string[]
  readonly hostCertificates: readonly string[]
  /** Absolute, in the order in which sshd reads them. */
  readonly rootKeyFiles: readonly string[]
  readonly authorizedKeysCommand?: string
  /** `yes`, `no`, `without-password`, `prohibit-password` or `forced-commands-only`. */
  readonly permitRootLogin: string
  readonly pubkeyAuthentication: boolean
  readonly passwordAuthentication: boolean
}

export const USUAL_PORT = 22

/** Where Debian's and most others' sshd looks when nothing is set. */
export const USUAL_KEY_FILES = ['.ssh/authorized_keys', '.ssh/authorized_keys2']

/**
 * Reads the answer of `sshd -T -C user=root,…`.
 * @param home root's home folder
 */
export function readSshdSettings(text: string, home: string): SshdSettings {
  const lines = text.split('\n').map((line) => splitWord(line))
  const all = (word: string) => lines.filter(([name]) => name === word).map(([, value]) => value)
  const words = (word: string) => all(word).flatMap((value) => value.split(/\s+/))
  const one = (word: string) => all(word)[0] ?? ''
  const command = one('authorizedkeyscommand')
  const files = words('authorizedkeysfile').filter((file) => file !== 'none' && file !== '')
  const ports = all('port').map(Number)
  return {
    ports: ports.length === 0 ? [USUAL_PORT] : ports,
    hostKeys: all('hostkey'),
    hostCertificates: all('hostcertificate'),
    rootKeyFiles: files.map((file) => rootKeyFile(file, home)),
    ...(command === '' || command === 'none' ? {} : { authorizedKeysCommand: command }),
    permitRootLogin: one('permitrootlogin'),
    pubkeyAuthentication: one('pubkeyauthentication') !== 'no',
    passwordAuthentication: one('passwordauthentication') === 'yes',
  }
}

/** One name of `AuthorizedKeysFile`, for root. */
export function rootKeyFile(name: string, home: string): string {
  const tokens: Readonly<Record<string, string>> = { h: home, u: 'root', U: '0', '%': '%' }
  const path = name.replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole)
  return path.startsWith('/') ? path : `${home}/${path}`
}

function splitWord(line: string): [string, string] {
  const at = line.indexOf(' ')
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).trim()]
}
