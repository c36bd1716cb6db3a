/** Under CI a scenario is tried twice; what the first try failed of is said, not lost. */
import { beforeEach } from 'vitest'

beforeEach(({ onTestFailed, task }) => {
  onTestFailed(({ task: { name, result } }) => {
    if (task.retry === undefined || task.retry === 0) return
    const error = result?.errors?.at(-1)
    console.error(`a try of "${name}" failed:\n${error?.stack ?? error?.message}`)
  })
})
