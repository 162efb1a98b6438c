"""Words in the header of a table, or keys of a JSON record: which one names the image, its tags, its split, ..."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IMAGE = _words("image images img imgs photo photos picture pictures pic frame scan slide")
_PARTS = _words("name file filename path filepath id index url uri link ref src location")

IMAGE_COLUMNS = (
    _IMAGE
    | {f"{image}{part}" for image in _IMAGE for part in _PARTS}
    | _words(
        """
        name id key uuid url uri link file files filename filenames fname fn nameoffile filelocation
        path paths filepath fpath relpath relativepath fullpath absolutepath abspath
        sourceref imagegcsuri gcsuri s3uri s3path s3key externalid globalkey
        sample sampleid samplename item itemid itemname media mediaurl asset assetid
        bild bilder bildname bilddatei bildpfad datei dateien dateiname dateipfad pfad foto fotos
        fichier fichiers nomfichier nomdufichier chemin nomimage
        imagen imagenes archivo archivos nombrearchivo nombredearchivo ruta
        immagine immagini nomefile percorso imagem imagens arquivo nomedoarquivo nomearquivo caminho
        afbeelding afbeeldingen bestand bestandsnaam obraz zdjecie zdjęcie plik nazwapliku fil filnamn resim dosya
        изображение файл имяфайла 图片 图像 文件 文件名 图片名 图像名 画像 画像名 ファイル ファイル名 이미지 파일 파일명
        """
    )
)
"""Columns of image names, as `column_key` gives them."""

PLAIN_WORDS = _words(
    """
    image images img imagename imagefile imagepath imageid name id filename filenames file files filepath path
    tags tag labels label classes class categories category split subset partition fold
    """
)
"""Words that need no note when a column is found by them."""

MANY_TAGS_COLUMNS = _words(
    """
    tags labels classes categories tagnames labelnames classnames categorynames classids labelids categoryids
    imagetags imagelabels imageclasses tagslist labelslist taglist labellist
    """
)
"""Columns of all tags of an image."""

ONE_TAG_COLUMNS = (
    _words("tag label class category classlabel imagelabel imageclass imagetag imagecategory displayname klass")
    | _words("classification")
    | {
        f"{kind}{part}"
        for kind in ("label", "class", "tag", "category")
        for part in ("name", "id", "idx", "index", "text", "no", "number", "code")
    }
)
"""Columns of one tag, whose cell may be a name of several words."""

WEAK_MANY_COLUMNS = _words(
    """
    targets keywords findings findinglabels diagnoses objects concepts attributes choices subjects annotations defects
    schlagwörter schlagwoerter schlagworte klassen kategorien etiketten stichworte stichwörter
    étiquettes etiquettes catégories motscles motsclés etiquetas clases categorías categorias
    etichette classi categorie rótulos rotulos etykiety klasy метки классы теги 标签列表
    """
)
WEAK_ONE_COLUMNS = _words(
    """
    target gt groundtruth groundtruthlabel gtlabel choice keyword finding findinglabel diagnosis dx disease
    species speciesname breed variety commonname scientificname object objectname objectclass objecttype
    concept attribute annotation defect defecttype defectclass variable subject finelabel coarselabel type kind
    schlagwort klasse kategorie etikett stichwort art étiquette etiquette classe catégorie
    etiqueta clase categoría categoria etichetta rótulo rotulo etykieta klasa kategoria klass kategori etiket
    sınıf sinif
    метка класс категория тег 标签 类别 分类 ラベル タグ クラス カテゴリ 라벨 레이블 태그 클래스
    """
)
"""Columns that hold tags only where no column of the plainer words does."""

TAGS_COLUMNS = MANY_TAGS_COLUMNS | ONE_TAG_COLUMNS
"""Keys of a JSON record or columns that hold tags."""

SPLIT_COLUMNS = _words(
    """
    split subset partition fold set dataset datasplit datasetsplit mluse usage phase traintest trainval trainvaltest
    splitname imageset aufteilung
    """
)
FLAG_SPLITS = {
    **dict.fromkeys(("isvalid", "isvalidation", "isval"), "val"),
    "istest": "test",
    **dict.fromkeys(("istrain", "istraining"), "train"),
}
"""Columns of yes and no, and the split that yes means. No means train, or after `is_train` val."""

STATE_COLUMNS = _words("confidence conf present presence ispresent value score probability prob")
"""Columns that say whether the class of the row is in the image."""

PIXEL_COLUMNS = _words("encodedpixels rle rlemask encodedmask maskrle segmentation pixels")
"""Columns of run lengths; an empty cell says that the class of the row is not in the image."""

ANNOTATOR_COLUMNS = _words(
    """
    annotator annotatorid annotatedby labeler labelerid labeller rater raterid reader readerid radid radiologist
    worker workerid completedby reviewer expert expertid
    """
)

BOX_COLUMNS = _words(
    """
    xmin ymin xmax ymax x1 y1 x2 y2 x0 y0 x y w h cx cy xcenter ycenter left top right bottom topx upperleftx upperlefty
    bbox box bboxes boxes bboxx bboxy bboxwidth bboxheight width height imagewidth imageheight imgwidth imgheight
    """
)

OTHER_COLUMNS = _words(
    """
    age patientage sex gender ethnicity race weight date time timestamp datetime createdat updatedat leadtime year
    lat lon lng latitude longitude location site hospital camera device photographer author license licence source
    comment comments note notes remark remarks description caption captions title text
    md5 sha1 sha256 hash filesize bytes view viewposition followup frontallateral appa
    """
)
"""Columns that are no class where their cells are not 1 and 0."""

_IDENTIFIER = re.compile(r"(?:^|[ _.-])(?:id|ID|Id)$|[a-z](?:Id|ID)$")
_INDEX_NAMES = frozenset({"", "index", "idx", "level0", "rowid", "rownumber", "nr", "no", "number", "lfdnr"})
_NUMBERED = re.compile(r"[\s_./-]*\d+$")


_LONGEST_KEPT = 100


def column_key(cell: str) -> str:
    """A word of a header as it is compared with those known: its letters and digits, without case."""
    return _column_key(cell) if len(cell) <= _LONGEST_KEPT else _column_key.__wrapped__(cell)


@lru_cache(maxsize=4096)  # the keys of each record of a JSON file are the same
def _column_key(cell: str) -> str:
    text = unicodedata.normalize("NFC", cell).casefold()
    return "".join(letter for letter in text if letter.isalnum() or unicodedata.category(letter)[0] == "M")


def unnumbered_key(cell: str) -> str:
    """The same without a number at the end: `tag_2`, `tags.1` and `label3` are several columns of one kind."""
    return column_key(_NUMBERED.sub("", cell.strip()))


def is_identifier(cell: str) -> bool:
    """Whether a column names patients, annotations or the like: `patient_id`, `StudyID`."""
    return _IDENTIFIER.search(cell.strip()) is not None


def is_index_name(cell: str) -> bool:
    """Whether a column may be that of row numbers: no name, `Unnamed: 0`, `index`."""
    key = column_key(cell)
    return key in _INDEX_NAMES or key.startswith("unnamed")
