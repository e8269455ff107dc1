import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemCode } from './errors.js'

/** The pid namespace on Linux: containers that share a host's name each count their processes from 1. */
const namespace = (): string => {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** What process ids are unique in. Processes of other machines cannot be asked whether they are alive. */
export const machine = `${hostname()} ${namespace()}`.trim()

/** Is there a process of this id on this machine? */
export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}
