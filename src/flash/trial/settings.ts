/**
 * The settings of the trial agent: shell variables, one a line.
 *
 * 1. Every value is in single quotes, so nothing in it is run or expanded.
 * 2. systems.ts reads the same file without a shell.
 *
 * Pure.
 */
import { OsflashError } from '../../errors.ts'

const NAME = /^[A-Z][A-Z0-9_]*$/
/** A line ends a setting; control characters are of no use in any. */
const CONTROL = /\p{Cc}/u

/** @throws OsflashError `refused` for a name or a value that no line can hold */
export function settingsText(variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(([name, value]) => {
    if (!NAME.test(name) || CONTROL.test(value)) {
      throw new OsflashError('refused', `writing the trial's settings: ${name} is no setting`)
    }
    return `${name}='${value.replaceAll("'", "'\\''")}'\n`
  })
  return `# Written by osflash; read by the trial agent and by osflash.\n${lines.join('')}`
}
