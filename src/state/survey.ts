import { holdTemporaries } from '../durable-file.js'
import { type DeploymentRecord, pendingOf } from './deployment-record.js'
import { type Deployments, deploymentsFolder, idOf, keyFile, readFolders } from './deployments.js'
import type { StateFolder } from './state-folder.js'

/** What lies under a name, and whether a process that was killed left a key there that nothing needs any more. */
export interface DeploymentSurvey extends Deployments {
  readonly isUntidy: boolean
}

/**
 * Looks at a name once, as a timer does at thousands: each folder is listed once, and each record read once. Temporary
 * files of killed processes are taken away, which asks for no lock.
 * @throws CertError STATE_UNUSABLE
 */
export const surveyDeployments = async (state: StateFolder, name: string): Promise<DeploymentSurvey> => {
  const { records, damaged, ids } = readFolders(state, name)
  // What a damaged record said of its key is not known.
  const needed = new Set([...records.filter(isOpen).map(idOf), ...damaged.map(({ id }) => id)])
  let isUntidy = false
  for (const id of ids) {
    const folder = [deploymentsFolder, name, id]
    const files = state.filesNow(folder)
    if (files === undefined || holdTemporaries(files)) await state.sweep(folder)
    if (needed.has(id)) continue
    const hasKey = files?.includes(keyFile) ?? (await state.writtenAt([...folder, keyFile])) !== undefined
    isUntidy ||= hasKey
  }
  return { records, damaged, isUntidy }
}

const isOpen = (record: DeploymentRecord): boolean => pendingOf(record).length > 0
