export { makeFolder, makeFolderSync } from './make-folder.js';
