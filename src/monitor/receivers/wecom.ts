import { plainText } from '../alert-message.js'
import { jsonHeaders, type Receiver, refusedByCode } from './receiver.js'

// In bytes; it refuses more.
const longest = 2048

/** A group robot of WeCom. */
export const wecom: Receiver = {
  request: (message, { url }) => ({
    url,
    headers: jsonHeaders,
    body: JSON.stringify({ msgtype: 'text', text: { content: plainText(message, longest) } }),
  }),
  refusal: (answer) =>
    refusedByCode(answer, {
      code: ['errcode'],
      words: 'errmsg',
      hints: {
        '40058': 'this is a fault in acme-oss: its message is not as WeCom wants it',
        '45009': 'a robot takes 20 messages a minute',
        '93000': 'the key in its URL is not known (any more): copy the URL of the robot once more',
        '93004': 'the robot has been switched off: switch it on in its group',
        '93008': 'the robot is not in that group any more',
      },
      passing: ['-1', '45009', '45033'],
    }),
}
