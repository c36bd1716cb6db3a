/** What `osflash apply` refuses before it looks at anything. */
import { expect, test } from 'vitest'
import { play } from './play.ts'

test('--json without --yes is a usage error: the plan was never shown', async () => {
  const { status, stderr } = await play(['apply', '--json'])
  expect(status).toBe(2)
  expect(stderr).toContain('--yes, once the plan was read: osflash plan --json')
})
