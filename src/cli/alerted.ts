import { mayHaveAlerts } from '../config/load.js'
import { toCertError } from '../errors.js'
import type { AlertedRun, RunEnd } from './alert-run.js'
import { hasAlertVariable } from './alert-settings.js'
import type { Surroundings } from './command.js'
import type { Common } from './common-flags.js'
import { configPath } from './wanted-targets.js'

type Run<V, P> = (values: V, surroundings: Surroundings, parsed: P) => Promise<number>

/** A command after which those who want to know are told what is wrong, if it is news to them. */
export const alerted =
  <V extends Common & { readonly 'dry-run'?: boolean }, P extends { readonly words: readonly string[] }>(
    { command, typed }: { readonly command: string; readonly typed: boolean },
    run: Run<V, P>,
  ): Run<V, P> =>
  async (values, surroundings, parsed) => {
    const called = command === 'hook' ? `hook ${parsed.words[0] ?? ''}` : command
    const tell = (end: RunEnd) => afterRun({ command, called, values, surroundings, typed, end })
    if (values['dry-run']) return await run(values, surroundings, parsed)
    let status: number
    try {
      status = await run(values, surroundings, parsed)
    } catch (error) {
      await tell({ error })
      throw error
    }
    await tell({ status })
    return status
  }

const afterRun = async (run: AlertedRun): Promise<void> => {
  const { values, surroundings, typed, end } = run
  if (surroundings.signal.aborted || ('error' in end && isNobodysBusiness(end.error, typed))) return
  if (!hasAlertVariable(surroundings.environment) && !(await isInFile(values, surroundings, typed))) return
  const { tellAlerts } = await import('./alert-run.js')
  await tellAlerts(run)
}

/** Whoever typed it has seen it, and nothing was touched. */
const isNobodysBusiness = (error: unknown, typed: boolean): boolean => typed || toCertError(error).code === 'USAGE'

/** Mostly there is nobody to be told, which must cost nothing. */
const isInFile = async (values: Common, surroundings: Surroundings, typed: boolean): Promise<boolean> => {
  try {
    const path = await configPath(values, surroundings, typed)
    return path !== undefined && (await mayHaveAlerts(path))
  } catch {
    // Then nobody can be made out who would be told.
    return false
  }
}
