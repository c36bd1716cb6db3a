/**
 * Lines of authorized_keys files.
 *
 * 1. Comments and empty lines are nothing; every other line is a key, with options before its type.
 * 2. Two lines are the same key when type and blob are the same, whatever options and comment say.
 * 3. A key with a forced command (`command="echo please log in as…"`, as cloud images have it) lets
 *    nobody in; the same goes for `cert-authority`, which is no key of a person.
 *
 * Pure.
 */

const KEY = /(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+(AAAA[A-Za-z0-9+/]+={0,3})(?:\s|$)/

/** The lines that hold a key, trimmed, in order. */
export function keyLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => !line.startsWith('#') && KEY.test(line))
}

/** Type and blob of a line; what makes two lines the same key. */
export function keyOf(line: string): string {
  const [, type = '', blob = ''] = KEY.exec(line) ?? []
  return `${type} ${blob}`
}

/** True when somebody with this key gets a shell. */
export function opensShell(line: string): boolean {
  const options = line.slice(0, KEY.exec(line)?.index ?? 0)
  return !/(^|[,\s])(command=|cert-authority)/i.test(options)
}

/** The lines of `more` that are not among `text`'s keys, behind what `text` holds. */
export function mergeKeys(text: string, more: string): string {
  const known = new Set(keyLines(text).map(keyOf))
  const added: string[] = []
  for (const line of keyLines(more)) {
    if (!known.has(keyOf(line))) added.push(line)
    known.add(keyOf(line))
  }
  const before = text === '' || text.endsWith('\n') ? text : `${text}\n`
  return `${before}${added.map((line) => `${line}\n`).join('')}`
}
