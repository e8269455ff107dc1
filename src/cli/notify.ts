import { CertError } from '../errors.js'
import { defineCommand } from './command.js'
import { commonFlags } from './common-flags.js'

export const command = defineCommand({
  name: 'notify',
  summary: 'Is not built yet.',
  flags: commonFlags,
  examples: [],
  run: async () => {
    throw new CertError('INTERNAL', 'not built yet')
  },
})
