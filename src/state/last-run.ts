import type { StateFolder } from './state-folder.js'

/** The last time that all there is was looked through: what a timer does. */
export interface LastRun {
  readonly at: Date
  readonly command: string
  /** As it was exited with. */
  readonly status: number
}

const file = ['last-run.json']

/** Not being able to say so is no failure of the run. */
export const keepLastRun = async (state: StateFolder, { at, command, status }: LastRun): Promise<void> => {
  const text = JSON.stringify({ schema: 1, at: at.toISOString(), command, status })
  await state.write(file, `${text}\n`, { mayBeLost: true }).catch(() => undefined)
}

/** Undefined where there was none, or none that can be made sense of. @throws CertError STATE_UNUSABLE */
export const readLastRun = async (state: StateFolder): Promise<LastRun | undefined> => {
  const text = await state.read(file)
  if (text === undefined) return undefined
  try {
    const { at, command, status } = JSON.parse(text) as Readonly<Record<string, unknown>>
    const date = new Date(String(at))
    const isWhole = !Number.isNaN(date.getTime()) && typeof command === 'string' && typeof status === 'number'
    return isWhole ? { at: date, command, status } : undefined
  } catch {
    return undefined
  }
}
