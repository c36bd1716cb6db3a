/** What does not need a rescue: how the end of a run is told, and which options go together. */
import { describe, expect, it, test } from 'vitest'
import { report, resume } from '../../src/cli/actions/resume.ts'
import type { VerbContext } from '../../src/cli/verb.ts'

function contextFor(json: boolean) {
  const written: string[] = []
  const stdout = { isTerminal: false, write: (text: string) => void written.push(text) }
  const context: VerbContext = {
    json,
    stdout,
    stderr: stdout,
    env: {},
    emit: () => undefined,
    signal: new AbortController().signal,
  }
  return { context, written }
}

describe('a rescue that holds', () => {
  it('is a failure to the operator who asked for more', () => {
    const { context, written } = contextFor(true)
    expect(() => report('held', { atBoot: false }, context)).toThrow(
      expect.objectContaining({
        code: 'refused',
        hints: [expect.stringMatching(/^osflash status/)],
      }),
    )
    expect(written).toEqual(['{"outcome":"held"}\n'])
  })

  it('is none to the service: what comes after a failed one is the dead man', () => {
    const { context, written } = contextFor(false)
    report('held', { atBoot: true }, context)
    expect(written).toEqual([])
  })
})

test('a run that reboots has done what was asked', () => {
  const { context, written } = contextFor(false)
  report('rebooting', { atBoot: false }, context)
  expect(written).toEqual(['rebooting\n'])
})

test.each([
  [{ trust: ['a.pub'] }, '--trust'],
  [{ threshold: 2 }, '--threshold'],
  [{ identity: ['a.key'] }, '--identity'],
  [{ passphraseFile: 'secret' }, '--passphrase-file'],
])('%j says nothing without --target', async (options, name) => {
  await expect(resume(options, contextFor(false).context)).rejects.toMatchObject({
    code: 'usage',
    message: `${name} belongs to --target`,
  })
})

test('--target without --trust is refused, with a hint that this verb takes', async () => {
  const asked = resume({ target: 'other.osimg' }, contextFor(false).context)
  await expect(asked).rejects.toMatchObject({ code: 'usage', hints: ['--trust signer.pub'] })
})
